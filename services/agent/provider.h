/* The seam between turns and model providers. A provider is one file under providers/ and a row of the table in
 * provider.c: how a prompt becomes its HTTP request, and how the events of its response become text and tool calls. It
 * does no I/O, reads no clock and logs nothing. */
#ifndef PARLEY_PROVIDER_H
#define PARLEY_PROVIDER_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- What is asked */

struct tool_call {
    char *id; /* as the provider named it */
    char *name;
    struct buf arguments; /* as the model wrote them: JSON if all went well */
};

enum role { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL };

struct prompt_message {
    enum role role;
    const char *text;
    size_t len;
    const struct tool_call *calls; /* of the assistant */
    size_t call_count;
    const char *call_id;       /* of a tool's result */
    const char *const *images; /* of the user, after the text: http:, https: or data: URLs */
    size_t image_count;
};

struct prompt_tool {
    const char *name;
    const char *description;
    const char *parameters; /* JSON schema */
};

/* How a model is brought to go on from what it has said already. Servers differ, and don't tell. */
enum continuation {
    CONTINUE_PREFIX, /* the last message is the assistant's: the model goes on where it ends */
    CONTINUE_MARKED, /* the same, and the request is marked as one to go on */
    CONTINUE_ASK,    /* a user's message asks for it: for providers that answer the assistant's last message */
};

/* All lent. If the last message is the assistant's, the model is to go on exactly where it ends. */
struct prompt {
    enum continuation continuation;
    const char *model;
    const char *options; /* JSON object merged into the request (temperature, …), where it doesn't collide with what is
                            asked here; NULL, or anything else: none */
    const struct prompt_message *messages;
    size_t message_count;
    const struct prompt_tool *tools;
    size_t tool_count;
};

/* ---- What comes back */

struct provider_usage {
    uint64_t prompt_tokens, answer_tokens; /* 0: not told */
};

/* Called while a response is parsed. All lent. */
struct provider_sink {
    /* Answer text: whole code points of valid UTF-8, never empty. */
    void (*text)(void *arg, const char *text, size_t len);
};

/* A response's parser; it collects tool calls, finish reason and usage. Each call has an id, if need be one made up. */
struct provider_parser;

struct provider_outcome {
    bool finished;           /* the provider said that it was done; else the stream was cut */
    const char *stop;        /* its finish reason ("stop", "length", "tool_calls", …), or NULL */
    bool withheld;           /* the provider keeps back what the model had to say, or the rest of it */
    struct tool_call *calls; /* in the order of their index; lent by the parser */
    size_t call_count;
    uint64_t progress; /* grows with every piece of text, of a tool call or of thinking aloud, and with the end; not
                          with what is empty */
    struct provider_usage usage;
};

struct provider_endpoint {
    const char *base_url; /* without a trailing slash: https://api.openai.com/v1 */
    const char *api_key;  /* NULL: none */
};

struct provider_request {
    struct buf url;
    struct buf headers[8]; /* "Name: value"; an empty one ends them */
    struct buf body;
};

struct provider {
    const char *vendor; /* "openai" */
    const char *default_model;
    /* What is known to work with whoever listens there. */
    enum continuation (*continuation)(const struct provider_endpoint *endpoint);
    void (*request)(const struct provider_endpoint *endpoint, const struct prompt *prompt,
                    struct provider_request *out);
    /* `max_call_bytes` bounds what the tool calls of one response may hold in all. */
    struct provider_parser *(*parser_new)(const struct provider_sink *sink, void *arg, size_t max_call_bytes);
    void (*parser_free)(struct provider_parser **parser);
    /* One server-sent event, or the whole body of an answer that came as plain JSON although a stream was asked for.
     * ERR_INVALID: not this provider's; ERR_REFUSED: the provider reports an error in mid-stream; ERR_TOO_LARGE. Then
     * `reason` gets what can be said about it (it may be nothing). */
    int (*parse)(struct provider_parser *parser, const char *type, const char *data, size_t len, struct buf *reason);
    void (*outcome)(struct provider_parser *parser, struct provider_outcome *out);
    /* What the body of a response that is no success says, in the provider's words. The body may be anything; where
     * nothing is to be understood, nothing is appended. */
    void (*error)(const char *body, size_t len, struct buf *reason);
};

/* The row named `vendor`, or NULL. */
const struct provider *provider_find(const char *vendor);
extern const struct provider provider_openai;

void provider_request_deinit(struct provider_request *request);
void tool_call_deinit(struct tool_call *call);

#endif
