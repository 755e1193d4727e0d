/* YYChat's protocol: /ws/chat. Section 1 of the protocols.
 *
 *   ping, heartbeat   pong, heartbeat_response
 *   get_status        status_response
 *   text_message      processing_start when it is taken up, then, when an agent has begun: stream_start, stream_chunk…,
 *                     stream_end; or, without `stream`, text_response
 *   anything else     error: without client_id where it is about the message as such
 *
 * No field tells two answers apart, so they are serial. Questions with one conversation_id share a conversation, of
 * that user where users are known; without one the connection is the conversation. A request's note is its
 * conversation_id as JSON. */
#include "dialect_message.h"
#include "dialect_rest.h"
#include "json.h"
#include "mem.h"
#include "utf8.h"

#include <string.h>

enum mode { MODE_STREAM = 1, MODE_WHOLE };

static bool serves(const char *path)
{
    return strcmp(path, "/ws/chat") == 0;
}

/* ---- Frames */

/* A frame of this type to which fields may be added. */
static json_t *make_frame(const char *type, const struct dialect_client *client, double now)
{
    return json_pack("{s:s, s:s, s:f}", "type", type, "client_id", client->id, "timestamp", now);
}

static void add_plain(struct frames *out, const char *type, const struct dialect_client *client, double now)
{
    frames_add_json(out, make_frame(type, client, now));
}

static void add_notice(struct frames *out, const char *type, const struct dialect_client *client, double now,
                       const char *message)
{
    json_t *frame = make_frame(type, client, now);
    json_object_set_new(frame, "message", json_string(message));
    frames_add_json(out, frame);
}

/* `client` NULL: without a client_id. Takes the message. */
static void add_error(struct frames *out, const struct dialect_client *client, double now, json_t *message,
                      const char *type, const char *code)
{
    json_t *frame = json_pack("{s:s, s:{s:o, s:s, s:s}, s:f}", "type", "error", "error", "message", message, "type",
                              type, "code", code, "timestamp", now);
    if (client)
        json_object_set_new(frame, "client_id", json_string(client->id));
    frames_add_json(out, frame);
}

static void add_message_error(struct frames *out, double now, const char *what, struct dialect_span text)
{
    add_error(out, NULL, now, dialect_sentence(what, text), "message_processing_error", "invalid_message");
}

static void add_answer_error(struct frames *out, const struct dialect_client *client, double now, const char *what,
                             struct dialect_span text)
{
    add_error(out, client, now, dialect_sentence(what, text), "text_processing_error", "text_processing_failed");
}

static json_t *describe_counts(const struct dialect_counts *counts)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:f}", "total_connections", (json_int_t)counts->total, "active_connections",
                     (json_int_t)counts->active, "total_messages", (json_int_t)counts->frames_sent, "max_connections",
                     (json_int_t)counts->max_connections, "uptime", counts->uptime_seconds);
}

static void add_status(const struct dialect_client *client, const struct dialect_occasion *occasion, struct frames *out)
{
    json_t *frame = make_frame("status_response", client, occasion->now);
    json_object_set_new(frame, "data", describe_counts(occasion->counts));
    frames_add_json(out, frame);
}

/* ---- What a client says */

static void open_client(struct dialect_client *client, const struct dialect_context *context, const char *path,
                        struct dialect_request *request, struct frames *out)
{
    (void)path;
    (void)request;
    add_notice(out, "connection_established", client, context->now, "连接已建立");
}

static void on_ping(const struct dialect_message *message)
{
    add_plain(message->out, "pong", message->client, message->context->now);
}

static void on_heartbeat(const struct dialect_message *message)
{
    add_plain(message->out, "heartbeat_response", message->client, message->context->now);
}

static void on_get_status(const struct dialect_message *message)
{
    message->request->kind = DIALECT_GET_STATUS;
}

/* Users can't reach each other's conversations: a name never holds U+0000. */
static void name_conversation(const struct dialect_message *message, struct dialect_span conversation)
{
    const char *user = message->client->user;
    if (conversation.len == 0) {
        dialect_use_own_conversation(message);
        return;
    }
    struct buf name = {0};
    if (user)
        buf_append_text(&name, user);
    buf_append_char(&name, '\0');
    buf_append(&name, conversation.data, conversation.len);
    dialect_name_conversation(message->request, "yychat", name.data, name.len);
    buf_deinit(&name);
}

static void remember_conversation(const struct dialect_message *message)
{
    const json_t *conversation = json_object_get(message->object, "conversation_id");
    struct buf note = {0};
    if (!conversation)
        return;
    json_append(&note, conversation);
    message->request->note = mem_strdup(note.data);
    buf_deinit(&note);
}

static void on_text_message(const struct dialect_message *message)
{
    const json_t *object = message->object;
    struct dialect_span content = dialect_get_text(object, "content"), conversation = {0};
    const char *persona = NULL;
    bool use_tools = true, stream = true;
    bool valid = content.data && !utf8_blank(content.data, content.len) &&
                 dialect_take_text(object, "conversation_id", &conversation) &&
                 dialect_take_name(object, "personality_id", &persona) &&
                 dialect_take_bool(object, "use_tools", &use_tools) && dialect_take_bool(object, "stream", &stream);
    if (!valid) {
        add_answer_error(message->out, message->client, message->context->now, "Invalid text message format",
                         dialect_span_of(""));
        return;
    }
    dialect_ask(message, content, stream ? DIALECT_DELTAS : DIALECT_WHOLE);
    message->request->mode = stream ? MODE_STREAM : MODE_WHOLE;
    message->request->persona = persona;
    message->request->use_tools = use_tools;
    name_conversation(message, conversation);
    remember_conversation(message);
}

static const struct dialect_handler handlers[] = {
    {"ping", on_ping, false, "Answers with pong"},
    {"heartbeat", on_heartbeat, false, "Keeps the connection from being closed as idle"},
    {"get_status", on_get_status, false, "Tells how many connections and messages there are"},
    {"text_message", on_text_message, false, "Answers a question, streamed or as a whole"},
    {"cancel", dialect_on_cancel, true, "Stops all answers of the connection"},
};
#define HANDLER_COUNT (sizeof handlers / sizeof *handlers)

static bool is_from_another(const struct dialect_message *message)
{
    const json_t *id = json_object_get(message->object, "client_id");
    if (!id || json_is_null(id))
        return false;
    struct dialect_span own = dialect_span_of(message->client->id);
    struct dialect_span given = dialect_get_text(message->object, "client_id");
    return !given.data || given.len != own.len || memcmp(given.data, own.data, own.len) != 0;
}

static void read_object(const struct dialect_message *message)
{
    double now = message->context->now;
    struct dialect_span type = dialect_get_text(message->object, "type");
    if (!type.data)
        add_message_error(message->out, now, "Invalid message format", dialect_span_of(""));
    else if (is_from_another(message))
        add_message_error(message->out, now, "Client ID mismatch", dialect_span_of(""));
    else if (!dialect_handle(message, handlers, HANDLER_COUNT, type))
        add_message_error(message->out, now, "Unknown message type: ", type);
}

static void decode(const struct dialect_client *client, const struct dialect_context *context, const char *bytes,
                   size_t len, bool binary, struct dialect_request *request, struct frames *out)
{
    json_t *value = NULL;
    if (binary || json_parse(bytes, len, NULL, 0, &value) != ERR_NONE) {
        add_error(out, client, context->now, json_string("Invalid JSON format"), "json_parse_error", "invalid_json");
        return;
    }
    const struct dialect_message message = {client, context, value, request, out};
    read_object(&message); /* what is no object has no type either */
    json_decref(value);
}

/* ---- What it is told */

static void add_chunk(const struct dialect_client *client, const struct dialect_occasion *occasion, struct frames *out)
{
    struct buf *frame = frames_add(out);
    buf_append_text(frame, "{\"type\":\"stream_chunk\",\"content\":");
    frames_append_text(frame, occasion->text.data, occasion->text.len);
    buf_printf(frame, ",\"client_id\":\"%s\",\"timestamp\":", client->id);
    frames_append_seconds(frame, occasion->now);
    buf_append_char(frame, '}');
}

/* The frame that has the whole text, in a field named so. */
static void add_whole(const struct dialect_client *client, const struct dialect_occasion *occasion, const char *type,
                      const char *field, struct frames *out)
{
    struct buf *frame = frames_add(out);
    buf_printf(frame, "{\"type\":\"%s\",\"%s\":", type, field);
    frames_append_text(frame, occasion->all.data, occasion->all.len);
    if (occasion->request->mode == MODE_WHOLE) {
        buf_append_text(frame, ",\"conversation_id\":");
        buf_append_text(frame, occasion->request->note ? occasion->request->note : "null");
    }
    buf_printf(frame, ",\"client_id\":\"%s\",\"timestamp\":", client->id);
    frames_append_seconds(frame, occasion->now);
    buf_append_char(frame, '}');
}

static void add_failure(const struct dialect_client *client, const struct dialect_occasion *occasion,
                        struct dialect_span reason, struct frames *out)
{
    bool streaming = occasion->request->mode == MODE_STREAM;
    add_answer_error(out, client, occasion->now,
                     streaming ? "Streaming response failed: " : "Text processing failed: ", reason);
}

static void encode(const struct dialect_client *client, const struct dialect_occasion *occasion, struct frames *out)
{
    bool streaming = occasion->request && occasion->request->mode == MODE_STREAM;
    switch (occasion->kind) {
    case DIALECT_TAKEN_UP:
        add_plain(out, "processing_start", client, occasion->now);
        break;
    case DIALECT_STARTED:
        if (streaming)
            add_plain(out, "stream_start", client, occasion->now);
        break;
    case DIALECT_TEXT:
        add_chunk(client, occasion, out);
        break;
    case DIALECT_COMPLETED:
        if (streaming)
            add_whole(client, occasion, "stream_end", "full_content", out);
        else
            add_whole(client, occasion, "text_response", "content", out);
        break;
    case DIALECT_FAILED:
        add_failure(client, occasion, occasion->reason, out);
        break;
    case DIALECT_CANCELLED:
        if (!dialect_encode_extension(client, occasion, out))
            add_failure(client, occasion, dialect_span_of("cancelled"), out);
        break;
    case DIALECT_STATUS:
        add_status(client, occasion, out);
        break;
    case DIALECT_REFUSED:
        add_message_error(out, occasion->now, "Message processing failed: ", occasion->reason);
        break;
    case DIALECT_IDLE:
        add_notice(out, "connection_closed", client, occasion->now, "连接已关闭");
        break;
    default: /* of the extension, or not of this protocol */
        dialect_encode_extension(client, occasion, out);
        break;
    }
}

const struct dialect dialect_yychat = {
    .name = "yychat",
    .serial = true,
    .resumes = true,
    .times_out = true,
    .serves = serves,
    .open = open_client,
    .decode = decode,
    .encode = encode,
};

/* ---- Over HTTP */

json_t *yychat_status(const struct dialect_counts *counts)
{
    return json_pack("{s:s, s:o}", "status", "success", "data", describe_counts(counts));
}

json_t *yychat_handlers(const char *const *middleware, size_t count)
{
    json_t *by_type = json_object(), *names = json_array();
    for (size_t i = 0; i < HANDLER_COUNT; i++)
        if (!handlers[i].extension)
            json_object_set_new(by_type, handlers[i].type, json_string(handlers[i].help));
    for (size_t i = 0; i < count; i++)
        json_array_append_new(names, json_string(middleware[i]));
    return json_pack("{s:s, s:{s:o, s:o}}", "status", "success", "data", "handlers", by_type, "middleware", names);
}

json_t *yychat_failure(const char *message)
{
    return json_pack("{s:s, s:s}", "status", "error", "message", message);
}
