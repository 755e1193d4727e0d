#include "chat.h"

#include "json.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    enum chat_role role;
} roles[] = {{"system", CHAT_SYSTEM},       {"developer", CHAT_SYSTEM}, {"user", CHAT_USER},
             {"assistant", CHAT_ASSISTANT}, {"tool", CHAT_TOOL},        {"function", CHAT_TOOL}};

static bool read_role(const json_t *message, enum chat_role *role)
{
    const char *name = json_get_text(message, "role", NULL);
    for (size_t i = 0; name && i < sizeof roles / sizeof *roles; i++)
        if (strcmp(name, roles[i].name) == 0) {
            *role = roles[i].role;
            return true;
        }
    return false;
}

/* A string, null, or parts: [{"type":"text","text":"…"}, …]; parts of other types are passed over. */
static bool read_content(const json_t *content, struct buf *out)
{
    if (!content || json_is_null(content))
        return true;
    if (json_is_string(content)) {
        buf_append(out, json_string_value(content), json_string_length(content));
        return true;
    }
    if (!json_is_array(content))
        return false;
    for (size_t i = 0; i < json_array_size(content); i++) {
        size_t len;
        const char *text = json_get_text(json_array_get(content, i), "text", &len);
        if (text)
            buf_append(out, text, len);
    }
    return true;
}

static int read_message(const json_t *message, struct chat_message *out)
{
    if (!read_role(message, &out->role) || !read_content(json_object_get(message, "content"), &out->text))
        return ERR_INVALID;
    const json_t *calls = json_object_get(message, "tool_calls");
    out->calls = json_array_size(calls) > 0 ? calls : NULL;
    out->call_id = json_get_text(message, "tool_call_id", NULL);
    return ERR_NONE;
}

static int read_messages(const json_t *messages, size_t max, struct chat *chat, char *reason, size_t reason_size)
{
    size_t count = json_array_size(messages);
    if (!json_is_array(messages) || count == 0 || count > max) {
        snprintf(reason, reason_size, "'messages' must be an array of 1 to %zu messages", max);
        return ERR_INVALID;
    }
    chat->messages = mem_alloc(count * sizeof *chat->messages);
    for (; chat->count < count; chat->count++) {
        struct chat_message *message = &chat->messages[chat->count];
        if (read_message(json_array_get(messages, chat->count), message) == ERR_NONE)
            continue;
        buf_deinit(&message->text);
        snprintf(reason, reason_size, "messages[%zu] must be an object with a known role and a content", chat->count);
        return ERR_INVALID;
    }
    return ERR_NONE;
}

static int read_request(struct chat *chat, size_t max_messages, const char **parameter, char *reason,
                        size_t reason_size)
{
    const json_t *request = chat->request;
    *parameter = NULL;
    if (!json_is_object(request)) {
        snprintf(reason, reason_size, "the body must be a JSON object");
        return ERR_INVALID;
    }
    *parameter = "model";
    chat->model = json_get_text(request, "model", NULL);
    if (!chat->model || strlen(chat->model) > 256) {
        snprintf(reason, reason_size, "you must provide a model parameter");
        return ERR_INVALID;
    }
    *parameter = "stream";
    const json_t *stream = json_object_get(request, "stream");
    if (stream && !json_is_boolean(stream) && !json_is_null(stream)) {
        snprintf(reason, reason_size, "'stream' must be a boolean");
        return ERR_INVALID;
    }
    *parameter = "messages";
    chat->stream = json_is_true(stream);
    chat->include_usage = json_get_bool(json_object_get(request, "stream_options"), "include_usage", false);
    chat->max_tokens = json_get_int(request, "max_completion_tokens", json_get_int(request, "max_tokens", 0));
    return read_messages(json_object_get(request, "messages"), max_messages, chat, reason, reason_size);
}

int chat_parse(const char *body, size_t len, size_t max_messages, struct chat *out, const char **parameter,
               char *reason, size_t reason_size)
{
    struct chat chat = {0};
    char detail[160];
    *parameter = NULL;
    if (json_parse(body, len, detail, sizeof detail, &chat.request)) {
        snprintf(reason, reason_size, "the body is not JSON: %s", detail);
        return ERR_INVALID;
    }
    int err = read_request(&chat, max_messages, parameter, reason, reason_size);
    if (err)
        chat_deinit(&chat);
    else
        *out = chat;
    return err;
}

void chat_deinit(struct chat *chat)
{
    for (size_t i = 0; i < chat->count; i++)
        buf_deinit(&chat->messages[i].text);
    free(chat->messages);
    json_decref(chat->request);
    *chat = (struct chat){0};
}

bool chat_offers(const struct chat *chat, const char *function)
{
    const char *choice = json_get_text(chat->request, "tool_choice", NULL);
    if (choice && strcmp(choice, "none") == 0)
        return false;
    const json_t *tools = json_object_get(chat->request, "tools");
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const char *name = json_get_text(json_object_get(json_array_get(tools, i), "function"), "name", NULL);
        if (name && strcmp(name, function) == 0)
            return true;
    }
    return false;
}

const struct chat_message *chat_question(const struct chat *chat)
{
    for (size_t i = chat->count; i > 0; i--)
        if (chat->messages[i - 1].role == CHAT_USER)
            return &chat->messages[i - 1];
    return NULL;
}
