/* One table of everything that can go wrong between our own modules. Functions return one of these as an int: ERR_NONE
 * (0) or a positive code. Outputs are untouched on failure. */
#ifndef PARLEY_ERR_H
#define PARLEY_ERR_H

#define ERR_TABLE(X)                                         \
    X(ERR_NONE, "no error")                                  \
    X(ERR_INVALID, "invalid")                                \
    X(ERR_TOO_LARGE, "too large")                            \
    X(ERR_NOT_FOUND, "not found")                            \
    X(ERR_CONFLICT, "changed by someone else meanwhile")     \
    X(ERR_TIMEOUT, "timed out")                              \
    X(ERR_NO_RESPONDERS, "nobody is there to answer")        \
    X(ERR_DISCONNECTED, "the message broker is unreachable") \
    X(ERR_FULL, "a queue is full")                           \
    X(ERR_REFUSED, "refused by the other side")              \
    X(ERR_CLOSED, "closed by the other side")                \
    X(ERR_CANCELLED, "cancelled")                            \
    X(ERR_SYSTEM, "system error")

#define ERR_ENUM(name, text) name,
enum err { ERR_TABLE(ERR_ENUM) ERR_COUNT };
#undef ERR_ENUM

/* The text of a code, for logs and error messages; never NULL. */
const char *err_text(int err);

#define MUST_CHECK __attribute__((warn_unused_result))

#endif
