/* The seam between tool calls and the tools that are built in. A tool is one file under builtin/ and a row of the table
 * in registry.c. */
#ifndef PARLEY_TOOL_H
#define PARLEY_TOOL_H

#include "buf.h"
#include "err.h"

#include <jansson.h>
#include <stdint.h>

struct tool_input {
    const json_t *arguments; /* an object that fits the schema */
    int64_t now_ms;          /* Unix milliseconds at the start of the call */
};

struct tool {
    const char *name;        /* [A-Za-z0-9_-]{1,64} */
    const char *description; /* for the model */
    const char *parameters;  /* JSON schema, of the subset that schema.h knows */
    /* Called by registry_new(), so before any thread of the pool; perhaps again. NULL: there is nothing to prepare. */
    void (*prepare)(void);
    /* Runs on a thread of libuv's pool, many calls at a time: it shares nothing, changes nothing of the process
     * (environment, locale), waits for nobody, and its work is bounded by the size of its arguments. Appends JSON to
     * `result`; on any error a text for people instead. */
    int (*run)(const struct tool_input *input, struct buf *result);
};

extern const struct tool tool_calculator;
extern const struct tool tool_current_time;

#endif
