/* A child process for one tool call: fed through stdin, read from stdout and stderr, killed with all its group. A pump:
 * it interprets nothing.
 *
 * The child leads a session and process group of its own, gets no other descriptors than these three, and only the
 * environment it is given. */
#ifndef PARLEY_PROCESS_H
#define PARLEY_PROCESS_H

#include "buf.h"
#include "err.h"

#include <uv.h>

struct process;

struct process_options {
    char *const *argv; /* ended by NULL; the program is looked for in the PATH of `env` */
    char *const *env;  /* "NAME=value", ended by NULL */
    size_t max_output; /* bytes of stdout; beyond it the child is killed */
};

struct process_result {
    int err;          /* ERR_NONE: it ended with status 0. ERR_REFUSED: with another, or by a signal. ERR_TOO_LARGE: it
                         wrote too much. ERR_SYSTEM: it could not be started */
    int status;       /* exit status; 0 where a signal ended it */
    int signal;       /* 0: none */
    const char *text; /* why it could not be started; lent; NULL otherwise */
    const struct buf *output; /* lent until the handler returns */
    const struct buf *errors; /* the beginning of stderr; lent likewise */
};

/* Called once, on the loop, never from within process_start(), when the child has ended and all it wrote has been read;
 * never after process_kill(). The process is gone when it returns. */
typedef void process_done(void *arg, const struct process_result *result);

/* Options are lent for the call; takes the input. */
struct process *process_start(uv_loop_t *loop, const struct process_options *options, struct buf *input,
                              process_done *done, void *arg);
/* SIGKILL to the whole group, at once. Nulls; NULL inside is allowed. */
void process_kill(struct process **process);

#endif
