/* The JSON of OpenAI's chat completions, as a server writes it. Pure. */
#ifndef PARLEY_CHUNKS_H
#define PARLEY_CHUNKS_H

#include "buf.h"
#include "reply.h"

#include <stdint.h>

/* What stands in every chunk of one answer. */
struct chunk_head {
    char id[32];      /* "chatcmpl-…" */
    char call_id[32]; /* "call_…", for the one tool call that an answer may have */
    int64_t created;  /* Unix seconds */
    const char *model;
};

/* Each appends one server-sent event. `finish` is "stop", "length" or "tool_calls". */
void chunk_role(const struct chunk_head *head, struct buf *out);
void chunk_text(const struct chunk_head *head, const char *text, size_t len, struct buf *out);
void chunk_call(const struct chunk_head *head, const char *function, struct buf *out);
void chunk_arguments(const struct chunk_head *head, const char *text, size_t len, struct buf *out);
void chunk_finish(const struct chunk_head *head, const char *finish, struct buf *out);
void chunk_usage(const struct chunk_head *head, size_t prompt_tokens, size_t answer_tokens, struct buf *out);
void chunk_done(struct buf *out);

/* The whole answer as one object, of which the first `len` bytes of text are given. */
void chunk_whole(const struct chunk_head *head, const struct reply *reply, size_t len, const char *finish,
                 size_t prompt_tokens, size_t answer_tokens, struct buf *out);

/* {"error":{"message","type","param","code"}}; `parameter` and `code` may be NULL. */
void chunk_error(const char *message, const char *type, const char *parameter, const char *code, struct buf *out);
/* The answer to GET /v1/models. */
void chunk_models(int64_t created, struct buf *out);

#endif
