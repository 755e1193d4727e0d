/* What everything that comes in passes before it reaches a dialect or a call over HTTP: one chain of named steps, each
 * of which lets it go on or refuses it. They know no dialect: what one of them has to know stands in struct dialect.
 * `GET /ws/handlers` lists them. One more is one row in middleware.c. */
#ifndef PARLEY_MIDDLEWARE_H
#define PARLEY_MIDDLEWARE_H

#include "gateway.h"
#include "trace.h"
#include "web.h"

struct connection;

enum visit_kind {
    VISIT_UPGRADE, /* somebody wants a WebSocket: head, dialect */
    VISIT_MESSAGE, /* a message of a client, not yet read: connection, len */
    VISIT_REQUEST, /* what its dialect has read in it: connection, request */
    VISIT_CALL     /* a call over HTTP: head, trace, owner_only */
};

/* All lent. */
struct visit {
    enum visit_kind kind;
    struct gateway *gateway;
    const struct web_head *head;
    const struct dialect *dialect;
    struct connection *connection;
    const struct trace *trace;
    size_t len;
    const struct dialect_request *request;
    bool owner_only;
    /* Set by the step that refuses: an HTTP status, which says as much elsewhere, and the reason, lent for ever. */
    int status;
    const char *reason;
};

/* False: refused. */
bool middleware_pass(struct visit *visit) MUST_CHECK;

#define MIDDLEWARE_MAX 16
/* The names in order; returns how many. */
size_t middleware_names(const char *names[MIDDLEWARE_MAX]);

#endif
