/* One answer of a model, streamed: a provider's request sent with http_client, its response cut into events by sse and
 * parsed by the provider. Retries once what was refused before any text came: 429 and 503 after their Retry-After (or a
 * default), and a connection that could not be made or was closed before the first byte. */
#ifndef PARLEY_COMPLETION_H
#define PARLEY_COMPLETION_H

#include "http_client.h"
#include "provider.h"
#include "trace.h"

#include <uv.h>

struct completion_options {
    const struct provider *provider;
    struct provider_endpoint endpoint;
    int64_t connect_timeout_ms;
    int64_t first_token_timeout_ms; /* from asking to the first piece of text, of a tool call or of thinking aloud; or
                                       to the end of an answer in one piece, or of an error */
    int64_t stall_timeout_ms;       /* between two such pieces; blank lines, comments and empty events are none */
    int64_t total_timeout_ms;       /* from asking to the end, a second try included */
    int64_t retry_after_max_ms;     /* a longer Retry-After is an error at once */
    size_t max_event_bytes;         /* one server-sent event */
    size_t max_call_bytes;          /* the tool calls of one response */
};

struct completion;

struct completion_result {
    int err;            /* ERR_NONE: the model finished */
    const char *reason; /* for people, where err: "the model provider answered 400: context too long"; never the key */
    const char *words;  /* the provider's own, for the log: those about a key may hold parts of it. NULL: none */
    bool resumable;     /* the stream broke off in mid-answer (cut, or stalled after some text): asking to go on may
                           work; tool calls half told are dropped */
    const struct provider_outcome *outcome; /* where !err; lent */
};

/* Never called from within completion_start(). `done` is called exactly once unless cancelled; the completion is gone
 * afterwards. Both may call completion_cancel(). */
struct completion_handlers {
    void (*text)(void *arg, const char *text, size_t len);
    void (*done)(void *arg, const struct completion_result *result);
};

/* Prompt and trace (NULL: none) are lent only for the call; options, handlers and their texts until the end. */
struct completion *completion_start(struct http_client *client, uv_loop_t *loop,
                                    const struct completion_options *options, const struct prompt *prompt,
                                    const struct trace *trace, const struct completion_handlers *handlers, void *arg);
/* Closes the provider's stream now. Nulls; NULL inside is allowed. */
void completion_cancel(struct completion **completion);

#endif
