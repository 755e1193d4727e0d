#include "openai_request.h"

#include "json.h"

#include <string.h>

static const char *const role_names[] = {
    [ROLE_SYSTEM] = "system", [ROLE_USER] = "user", [ROLE_ASSISTANT] = "assistant", [ROLE_TOOL] = "tool"};

static json_t *json_of(const char *text)
{
    json_t *value = NULL;
    if (text && json_parse(text, strlen(text), NULL, 0, &value))
        return NULL;
    return value;
}

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

static json_t *text_value(const char *text)
{
    return json_text(text, strlen(text));
}

static json_t *call_value(const struct tool_call *call)
{
    json_t *function = json_object();
    set(function, "name", text_value(call->name));
    /* A call without arguments may have come without any text; going back, it has to be JSON. */
    set(function, "arguments",
        call->arguments.len > 0 ? json_text(call->arguments.data, call->arguments.len) : json_string("{}"));
    json_t *value = json_object();
    set(value, "id", text_value(call->id));
    set(value, "type", json_string("function"));
    set(value, "function", function);
    return value;
}

static json_t *calls_value(const struct prompt_message *message)
{
    json_t *calls = json_array();
    for (size_t i = 0; i < message->call_count; i++)
        json_array_append_new(calls, call_value(&message->calls[i]));
    return calls;
}

/* Text and images, each a part. */
static json_t *parts_value(const struct prompt_message *message)
{
    json_t *parts = json_array();
    json_array_append_new(parts,
                          json_pack("{s:s, s:o}", "type", "text", "text", json_text(message->text, message->len)));
    for (size_t i = 0; i < message->image_count; i++)
        json_array_append_new(parts, json_pack("{s:s, s:{s:o}}", "type", "image_url", "image_url", "url",
                                               text_value(message->images[i])));
    return parts;
}

static json_t *content_value(const struct prompt_message *message)
{
    if (message->image_count > 0)
        return parts_value(message);
    bool only_calls = message->call_count > 0 && message->len == 0;
    return only_calls ? json_null() : json_text(message->text, message->len);
}

static json_t *message_value(const struct prompt_message *message)
{
    json_t *value = json_object();
    set(value, "role", json_string(role_names[message->role]));
    if (message->role == ROLE_TOOL)
        set(value, "tool_call_id", text_value(message->call_id));
    set(value, "content", content_value(message));
    if (message->call_count > 0)
        set(value, "tool_calls", calls_value(message));
    return value;
}

static json_t *tool_value(const struct prompt_tool *tool)
{
    json_t *parameters = json_of(tool->parameters);
    json_t *function = json_object();
    set(function, "name", text_value(tool->name));
    set(function, "description", text_value(tool->description));
    set(function, "parameters", parameters ? parameters : json_pack("{s:s, s:{}}", "type", "object", "properties"));
    json_t *value = json_object();
    set(value, "type", json_string("function"));
    set(value, "function", function);
    return value;
}

static bool is_to_go_on(const struct prompt *prompt)
{
    return prompt->message_count > 0 && prompt->messages[prompt->message_count - 1].role == ROLE_ASSISTANT;
}

static json_t *body_value(const struct prompt *prompt)
{
    json_t *body = json_of(prompt->options);
    if (!json_is_object(body)) {
        json_decref(body);
        body = json_object();
    }
    json_t *messages = json_array();
    for (size_t i = 0; i < prompt->message_count; i++)
        json_array_append_new(messages, message_value(&prompt->messages[i]));
    set(body, "model", text_value(prompt->model));
    set(body, "messages", messages);
    set(body, "stream", json_true());
    set(body, "stream_options", json_pack("{s:b}", "include_usage", 1));
    if (prompt->continuation == CONTINUE_MARKED && is_to_go_on(prompt)) { /* vLLM's words for it */
        set(body, "continue_final_message", json_true());
        set(body, "add_generation_prompt", json_false());
    }
    if (prompt->tool_count == 0)
        return body;
    json_t *tools = json_array();
    for (size_t i = 0; i < prompt->tool_count; i++)
        json_array_append_new(tools, tool_value(&prompt->tools[i]));
    set(body, "tools", tools);
    return body;
}

void openai_request(const struct provider_endpoint *endpoint, const struct prompt *prompt, struct provider_request *out)
{
    buf_printf(&out->url, "%s/chat/completions", endpoint->base_url);
    struct buf *header = out->headers;
    buf_append_text(header++, "Content-Type: application/json");
    buf_append_text(header++, "Accept: text/event-stream");
    if (endpoint->api_key)
        buf_printf(header++, "Authorization: Bearer %s", endpoint->api_key);
    json_append_take(&out->body, body_value(prompt));
}
