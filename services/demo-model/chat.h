/* A request of OpenAI's chat completions, parsed: what of it a stand-in looks at. Pure. */
#ifndef PARLEY_CHAT_H
#define PARLEY_CHAT_H

#include "buf.h"
#include "err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum chat_role { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT, CHAT_TOOL };

struct chat_message {
    enum chat_role role;
    struct buf text;     /* valid UTF-8, may hold U+0000; the text parts of a content in parts, joined */
    const json_t *calls; /* `tool_calls` of the assistant, an array; NULL: none; lent by the request */
    const char *call_id; /* of a tool's result; NULL: none; lent by the request */
};

struct chat {
    json_t *request;
    const char *model; /* lent by the request */
    bool stream, include_usage;
    int64_t max_tokens; /* 0: no limit */
    int64_t max_words;  /* of an answer at length; the server's own limit */
    struct chat_message *messages;
    size_t count;
};

/* ERR_INVALID with the reason for people, and in `*parameter` the field that is wrong (a literal; NULL: the body). */
int chat_parse(const char *body, size_t len, size_t max_messages, struct chat *out, const char **parameter,
               char *reason, size_t reason_size) MUST_CHECK;
void chat_deinit(struct chat *chat);

/* Whether a function of this name is offered, and may be called (`tool_choice` is not "none"). */
bool chat_offers(const struct chat *chat, const char *function);
/* The last message of the user; NULL: none. */
const struct chat_message *chat_question(const struct chat *chat);

#endif
