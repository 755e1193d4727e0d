/* The tools that this process knows: the built-in ones, and the operator's own, which are commands. */
#ifndef PARLEY_REGISTRY_H
#define PARLEY_REGISTRY_H

#include "metrics.h"
#include "tool.h"

#include <stddef.h>

struct registry;

struct registry_tool {
    char *name, *description, *parameters;
    json_t *schema;              /* `parameters`, parsed */
    const struct tool *built_in; /* NULL: a command */
    char **command;              /* program and arguments, ended by NULL */
    int64_t timeout_ms;          /* 0: the service's own */
    struct {
        struct metric *ok, *failed, *cancelled, *seconds; /* NULL before registry_add_metrics() */
    } metrics;
};

/* With the built-in tools. Before there is any thread of libuv's pool. */
struct registry *registry_new(void);
void registry_free(struct registry **registry);

/* Adds the commands of a file:
 *
 *   {"tools": [{"name": "weather", "description": "…", "parameters": {JSON schema}, "command": ["/opt/weather", "-j"],
 *               "timeout_ms": 5000}]}
 *
 * `timeout_ms` may be left out. ERR_INVALID with the place and what is wrong with it; then nothing was added. */
int registry_load(struct registry *registry, const char *path, char *reason, size_t reason_size) MUST_CHECK;

void registry_add_metrics(struct registry *registry, struct metrics *metrics);

size_t registry_count(const struct registry *registry);
const struct registry_tool *registry_at(const struct registry *registry, size_t index);
const struct registry_tool *registry_find(const struct registry *registry, const char *name); /* NULL: none */

#endif
