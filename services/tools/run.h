/* One tool at work: a built-in one on libuv's thread pool, an operator's command as a child process. */
#ifndef PARLEY_RUN_H
#define PARLEY_RUN_H

#include "registry.h"
#include "trace.h"

#include <stdbool.h>
#include <uv.h>

struct run;

struct run_options {
    const struct registry_tool *tool;
    size_t max_output;         /* bytes of result; beyond it the run fails */
    const char *credential;    /* the user's own, handed to commands as PARLEY_CREDENTIAL; NULL: none */
    const struct trace *trace; /* handed to commands as TRACEPARENT; NULL: none */
};

/* Called once, on the loop, never from within run_start(), never after run_abandon(). `result` is JSON where ok, else a
 * text for people in valid UTF-8; the handler may take what it holds. The run is gone when it returns. */
typedef void run_done(void *arg, bool ok, struct buf *result);

/* `arguments`, an object, is shared: no other thread may touch it until the run is gone, so hand over the only
 * reference. Takes it and nulls. Options are lent for the call. */
struct run *run_start(uv_loop_t *loop, const struct run_options *options, json_t **arguments, run_done *done,
                      void *arg);
/* A command is killed with all its processes. A built-in one, whose work is bounded, goes on unheard to its end. Nulls;
 * NULL inside is allowed. */
void run_abandon(struct run **run);

#endif
