/* The operator's file of commands that serve as tools (registry.h shows it), checked as if somebody hostile had written
 * it, so that a slip is named by its place. */
#ifndef PARLEY_COMMAND_FILE_H
#define PARLEY_COMMAND_FILE_H

#include "registry.h"

/* `*tools` becomes the array of descriptions, the caller's. */
int command_file_read(const char *path, json_t **tools, char *reason, size_t reason_size) MUST_CHECK;
/* Fills the zeroed `tool` from one description; what it holds is the caller's also on failure. */
int command_file_tool(const json_t *description, size_t index, struct registry_tool *tool, char *reason,
                      size_t reason_size) MUST_CHECK;
/* Writes "tools[<index>].<key> <what>" and returns ERR_INVALID. */
int command_file_fail(char *reason, size_t reason_size, size_t index, const char *key, const char *what);

#endif
