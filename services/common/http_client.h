/* HTTP requests with libcurl's multi interface on the loop: hundreds at a time, streamed. HTTP/1.1 only, no redirects,
 * no proxy; servers are verified against the system's certificate authorities. A pump: it interprets nothing of a
 * body. SIGPIPE is to be ignored by the process. */
#ifndef PARLEY_HTTP_CLIENT_H
#define PARLEY_HTTP_CLIENT_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct http_client;
struct http_request;

struct http_options {
    const char *method; /* GET or POST */
    const char *url;
    const char *const *headers; /* "Name: value", ended by NULL */
    int64_t connect_timeout_ms;
    int64_t total_timeout_ms; /* 0: none. How long a body may be silent is the caller's to judge, who can cancel */
};

struct http_result {
    int err;    /* ERR_NONE: a whole response came, whatever its status. ERR_TIMEOUT, ERR_CLOSED (cut short), ERR_SYSTEM
                   (could not connect, resolve, or speak TLS), ERR_INVALID (not HTTP, or no such URL) */
    int status; /* 0 where none came */
    const char *text;       /* what went wrong, for people: "connection refused"; lent; never NULL */
    int64_t retry_after_ms; /* -1: no Retry-After (RFC 9110, section 10.2.3; seconds or a date) */
    struct buf *body;       /* what was sent; may be taken, to send it again */
};

/* Part of the body, as it came; `status` is known by now. Lent. Handlers may send and cancel any request, their own
 * too (in the done handler: any other). */
typedef void http_body_handler(void *arg, int status, const char *bytes, size_t len);
/* Called exactly once, unless cancelled; the request is gone afterwards. */
typedef void http_done_handler(void *arg, const struct http_result *result);

/* Connections, busy and idle, above `max_connections_kept` are closed once idle. */
struct http_client *http_client_new(uv_loop_t *loop, int64_t max_connections_kept);
/* Cancels what still runs; not from within a handler. The loop must run once more afterwards. */
void http_client_free(struct http_client **client);

/* Takes what `body` holds (NULL: none). Never fails at once: what can't be sent is reported through `done`, from the
 * loop. Options are copied. */
struct http_request *http_send(struct http_client *client, const struct http_options *options, struct buf *body,
                               http_body_handler *on_body, http_done_handler *on_done, void *arg);
/* Closes the request's connection now (from within a body handler: in the same turn of the loop). None of its handlers
 * is called any more. Nulls; NULL inside is allowed. */
void http_cancel(struct http_request **request);

#endif
