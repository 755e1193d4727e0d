#include "chunks.h"

#include "json.h"

static void append_event(json_t *value, struct buf *out)
{
    buf_append_text(out, "data: ");
    json_append_take(out, value);
    buf_append_text(out, "\n\n");
}

/* Takes `delta`. `finish` NULL: it goes on. */
static void append_chunk(const struct chunk_head *head, json_t *delta, const char *finish, struct buf *out)
{
    append_event(json_pack("{s:s, s:s, s:I, s:s, s:[{s:i, s:o, s:s?}]}", "id", head->id, "object",
                           "chat.completion.chunk", "created", (json_int_t)head->created, "model", head->model,
                           "choices", "index", 0, "delta", delta, "finish_reason", finish),
                 out);
}

void chunk_role(const struct chunk_head *head, struct buf *out)
{
    append_chunk(head, json_pack("{s:s, s:s}", "role", "assistant", "content", ""), NULL, out);
}

void chunk_text(const struct chunk_head *head, const char *text, size_t len, struct buf *out)
{
    append_chunk(head, json_pack("{s:o}", "content", json_text(text, len)), NULL, out);
}

void chunk_call(const struct chunk_head *head, const char *function, struct buf *out)
{
    append_chunk(head,
                 json_pack("{s:s, s:n, s:[{s:i, s:s, s:s, s:{s:s, s:s}}]}", "role", "assistant", "content",
                           "tool_calls", "index", 0, "id", head->call_id, "type", "function", "function", "name",
                           function, "arguments", ""),
                 NULL, out);
}

void chunk_arguments(const struct chunk_head *head, const char *text, size_t len, struct buf *out)
{
    append_chunk(
        head,
        json_pack("{s:[{s:i, s:{s:o}}]}", "tool_calls", "index", 0, "function", "arguments", json_text(text, len)),
        NULL, out);
}

void chunk_finish(const struct chunk_head *head, const char *finish, struct buf *out)
{
    append_chunk(head, json_object(), finish, out);
}

static json_t *usage(size_t prompt_tokens, size_t answer_tokens)
{
    return json_pack("{s:I, s:I, s:I}", "prompt_tokens", (json_int_t)prompt_tokens, "completion_tokens",
                     (json_int_t)answer_tokens, "total_tokens", (json_int_t)(prompt_tokens + answer_tokens));
}

void chunk_usage(const struct chunk_head *head, size_t prompt_tokens, size_t answer_tokens, struct buf *out)
{
    append_event(json_pack("{s:s, s:s, s:I, s:s, s:[], s:o}", "id", head->id, "object", "chat.completion.chunk",
                           "created", (json_int_t)head->created, "model", head->model, "choices", "usage",
                           usage(prompt_tokens, answer_tokens)),
                 out);
}

void chunk_done(struct buf *out)
{
    buf_append_text(out, "data: [DONE]\n\n");
}

static json_t *whole_message(const struct chunk_head *head, const struct reply *reply, size_t len)
{
    if (!reply->tool)
        return json_pack("{s:s, s:o}", "role", "assistant", "content", json_text(len ? reply->text.data : "", len));
    return json_pack("{s:s, s:n, s:[{s:s, s:s, s:{s:s, s:s}}]}", "role", "assistant", "content", "tool_calls", "id",
                     head->call_id, "type", "function", "function", "name", reply->tool, "arguments",
                     reply->arguments.data);
}

void chunk_whole(const struct chunk_head *head, const struct reply *reply, size_t len, const char *finish,
                 size_t prompt_tokens, size_t answer_tokens, struct buf *out)
{
    json_append_take(out, json_pack("{s:s, s:s, s:I, s:s, s:[{s:i, s:o, s:s}], s:o}", "id", head->id, "object",
                                    "chat.completion", "created", (json_int_t)head->created, "model", head->model,
                                    "choices", "index", 0, "message", whole_message(head, reply, len), "finish_reason",
                                    finish, "usage", usage(prompt_tokens, answer_tokens)));
}

void chunk_error(const char *message, const char *type, const char *parameter, const char *code, struct buf *out)
{
    json_append_take(out, json_pack("{s:{s:s, s:s, s:s?, s:s?}}", "error", "message", message, "type", type, "param",
                                    parameter, "code", code));
}

void chunk_models(int64_t created, struct buf *out)
{
    json_append_take(out, json_pack("{s:s, s:[{s:s, s:s, s:I, s:s}]}", "object", "list", "data", "id", "demo", "object",
                                    "model", "created", (json_int_t)created, "owned_by", "parley"));
}
