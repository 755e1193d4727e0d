#include "dialect_message.h"

#include "json.h"
#include "utf8.h"

#include <string.h>

/* ---- Reading */

static bool is_same(struct dialect_span text, const char *word)
{
    return text.data && strlen(word) == text.len && memcmp(text.data, word, text.len) == 0;
}

bool dialect_handle(const struct dialect_message *message, const struct dialect_handler *handlers, size_t count,
                    struct dialect_span type)
{
    for (size_t i = 0; i < count; i++) {
        if (is_same(type, handlers[i].type) && (message->client->extended || !handlers[i].extension)) {
            handlers[i].handle(message);
            return true;
        }
    }
    return false;
}

void dialect_on_cancel(const struct dialect_message *message)
{
    message->request->kind = DIALECT_CANCEL;
}

json_t *dialect_parse(const char *bytes, size_t len, bool binary)
{
    json_t *value = NULL;
    if (binary || json_parse(bytes, len, NULL, 0, &value) != ERR_NONE)
        return NULL;
    if (json_is_object(value))
        return value;
    json_decref(value);
    return NULL;
}

struct dialect_span dialect_span_of(const char *text)
{
    return (struct dialect_span){text, strlen(text)};
}

struct dialect_span dialect_get_text(const json_t *object, const char *key)
{
    struct dialect_span text = {0};
    text.data = json_get_text(object, key, &text.len);
    return text;
}

static bool is_absent(const json_t *value)
{
    return !value || json_is_null(value);
}

bool dialect_take_text(const json_t *object, const char *key, struct dialect_span *out)
{
    if (is_absent(json_object_get(object, key)))
        return true;
    struct dialect_span text = dialect_get_text(object, key);
    if (!text.data)
        return false;
    *out = text;
    return true;
}

bool dialect_take_bool(const json_t *object, const char *key, bool *out)
{
    const json_t *value = json_object_get(object, key);
    if (is_absent(value))
        return true;
    if (!json_is_boolean(value))
        return false;
    *out = json_is_true(value);
    return true;
}

bool dialect_take_name(const json_t *object, const char *key, const char **out)
{
    struct dialect_span text = {"", 0};
    if (!dialect_take_text(object, key, &text) || !utf8_is_name(text.data, text.len))
        return false;
    if (text.len > 0)
        *out = text.data;
    return true;
}

bool dialect_take_secret(const json_t *object, const char *key, const char **out)
{
    struct dialect_span text = {"", 0};
    if (!dialect_take_text(object, key, &text) || memchr(text.data, '\0', text.len))
        return false;
    if (text.len > 0)
        *out = text.data;
    return true;
}

/* ---- Asking */

void dialect_ask(const struct dialect_message *message, struct dialect_span question, enum dialect_text text)
{
    struct dialect_request *request = message->request;
    request->kind = DIALECT_ASK;
    request->text = text;
    request->source = json_incref(message->object);
    request->question = question.data;
    request->question_len = question.len;
    request->use_tools = true;
}

void dialect_use_own_conversation(const struct dialect_message *message)
{
    const struct dialect_client *client = message->client;
    const char *id = client->origin[0] ? client->origin : client->id;
    dialect_name_conversation(message->request, "connection", id, strlen(id));
}

/* ---- Answering */

json_t *dialect_sentence(const char *what, struct dialect_span text)
{
    struct buf sentence = {0};
    buf_append_text(&sentence, what);
    buf_append(&sentence, text.data, text.len);
    json_t *value = json_text(sentence.data, sentence.len);
    buf_deinit(&sentence);
    return value;
}

/* JSON that came with a tool step; a text where it is none. NULL for an empty one. */
static json_t *tool_value(struct dialect_span data, bool is_json)
{
    json_t *value = NULL;
    if (data.len == 0)
        return NULL;
    if (is_json && json_parse(data.data, data.len, NULL, 0, &value) == ERR_NONE)
        return value;
    return json_text(data.data, data.len);
}

static void encode_tool_step(const struct dialect_occasion *occasion, struct frames *out)
{
    bool started = occasion->kind == DIALECT_TOOL_STARTED;
    const char *status = started ? "running" : occasion->ok ? "done" : "failed";
    json_t *frame =
        json_pack("{s:s, s:o, s:o, s:s}", "type", "tool", "id", json_text(occasion->call.data, occasion->call.len),
                  "name", json_text(occasion->tool.data, occasion->tool.len), "status", status);
    json_t *value = tool_value(occasion->data, started || occasion->ok);
    if (started && json_is_object(value))
        json_object_set(frame, "arguments", value);
    else if (!started && value)
        json_object_set(frame, "result", value);
    json_decref(value);
    frames_add_json(out, frame);
}

bool dialect_encode_extension(const struct dialect_client *client, const struct dialect_occasion *occasion,
                              struct frames *out)
{
    if (!client->extended)
        return false;
    switch (occasion->kind) {
    case DIALECT_TOOL_STARTED:
    case DIALECT_TOOL_FINISHED:
        encode_tool_step(occasion, out);
        return true;
    case DIALECT_CANCEL_DONE:
    case DIALECT_CANCELLED:
        frames_add_json(out, json_pack("{s:s, s:f}", "type", "cancelled", "timestamp", occasion->now));
        return true;
    case DIALECT_NOTED:
        frames_add_json(out, json_pack("{s:s}", "type", "noted"));
        return true;
    case DIALECT_SESSION:
        frames_add_json(out, json_pack("{s:s, s:s}", "type", "session", "resume", occasion->id));
        return true;
    case DIALECT_RESUMED:
        frames_add_json(
            out, json_pack("{s:s, s:s, s:b}", "type", "session", "resume", occasion->id, "resumed", (int)occasion->ok));
        return true;
    default:
        return false;
    }
}
