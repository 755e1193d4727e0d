/* The contact protocol: /contact, also under a path prefix. Section 2 of the protocols.
 *
 *   ping             pong
 *   contact_request  contact_request_received, once it is stored
 *   chat_message     chat_message_received, then the whole answer as one chat_message
 *   anything else    error
 *
 * A visitor is not told what went wrong with an answer, but gets an apology as a chat_message: as configured for the
 * pipelines, or else the gateway's, which a request's note holds. No field tells two answers apart, so they are serial.
 * The connection is the conversation. All connections are members of one room, for the owner's broadcast, which is a
 * chat_message like an answer: what an unchanged client shows. With the extension it is a broadcast, which can't be
 * taken for one. */
#include "dialect_message.h"
#include "dialect_rest.h"
#include "iso_time.h"
#include "json.h"
#include "mem.h"
#include "utf8.h"

#include <string.h>

#define PING_INTERVAL_S 20

/* Under a prefix, too. What lies below /ws/chat/ are users of another protocol. */
static bool serves(const char *path)
{
    static const char own[] = "/contact", others[] = "/ws/chat/";
    size_t len = strlen(path), own_len = sizeof own - 1;
    return len >= own_len && strcmp(path + len - own_len, own) == 0 && strncmp(path, others, sizeof others - 1) != 0;
}

/* ---- Frames */

static json_t *make_frame(const char *type, double now)
{
    char iso[ISO_TIME_SIZE];
    iso_time(now, iso);
    return json_pack("{s:s, s:s}", "type", type, "timestamp", iso);
}

/* A frame with a message, and an id in a field of that name. */
static json_t *make_notice(const char *type, double now, const char *message, const char *id_field, const char *id)
{
    json_t *frame = make_frame(type, now);
    json_object_set_new(frame, "message", json_string(message));
    json_object_set_new(frame, id_field, json_string(id));
    return frame;
}

static void add_error(struct frames *out, double now, const char *what, struct dialect_span text)
{
    json_t *frame = make_frame("error", now);
    json_object_set_new(frame, "message", dialect_sentence(what, text));
    frames_add_json(out, frame);
}

static void add_message(struct frames *out, double now, const char *type, struct dialect_span text, const char *more)
{
    char iso[ISO_TIME_SIZE];
    iso_time(now, iso);
    struct buf *frame = frames_add(out);
    buf_printf(frame, "{\"type\":\"%s\",\"message\":", type);
    frames_append_text(frame, text.data, text.len);
    buf_printf(frame, "%s,\"timestamp\":\"%s\"}", more, iso);
}

static void add_chat_message(struct frames *out, double now, struct dialect_span text)
{
    add_message(out, now, "chat_message", text, ",\"sender\":\"assistant\"");
}

/* ---- What a client says */

void contact_name_room(struct buf *out)
{
    dialect_name(out, "contact", "", 0);
}

static void open_client(struct dialect_client *client, const struct dialect_context *context, const char *path,
                        struct dialect_request *request, struct frames *out)
{
    (void)path;
    (void)request;
    contact_name_room(&client->room);
    frames_add_json(
        out, make_notice("connection_established", context->now, "WebSocket连接已建立", "client_id", client->id));
}

static void refuse(const struct dialect_message *message, const char *why)
{
    add_error(message->out, message->context->now, "处理消息时出错: ", dialect_span_of(why));
}

static void on_ping(const struct dialect_message *message)
{
    frames_add_json(message->out, make_frame("pong", message->context->now));
}

/* What is wrong with the fields that both kinds of messages have; NULL: nothing. */
static const char *read_text(const struct dialect_message *message, struct dialect_span *text,
                             struct dialect_span *timestamp)
{
    if (!dialect_take_text(message->object, "message", text))
        return "message 必须是字符串";
    if (!text->data || utf8_blank(text->data, text->len))
        return "message 不能为空";
    if (!dialect_take_text(message->object, "timestamp", timestamp))
        return "timestamp 必须是字符串";
    return NULL;
}

static void on_chat_message(const struct dialect_message *message)
{
    const struct dialect_context *context = message->context;
    struct dialect_span text = {0}, timestamp = {0};
    const char *wrong = read_text(message, &text, &timestamp);
    if (wrong) {
        refuse(message, wrong);
        return;
    }
    dialect_ask(message, text, DIALECT_WHOLE);
    dialect_use_own_conversation(message);
    message->request->note = mem_strdup(context->apology);
    frames_add_json(message->out,
                    make_notice("chat_message_received", context->now, "消息已收到", "message_id", context->fresh_id));
}

static void on_contact_request(const struct dialect_message *message)
{
    struct dialect_request *request = message->request;
    struct dialect_span text = {0}, timestamp = {0}, user_agent = {0};
    const char *wrong = read_text(message, &text, &timestamp);
    if (!wrong && !dialect_take_text(message->object, "userAgent", &user_agent))
        wrong = "userAgent 必须是字符串";
    if (wrong) {
        refuse(message, wrong);
        return;
    }
    request->kind = DIALECT_CONTACT;
    request->source = json_incref(message->object);
    request->question = text.data;
    request->question_len = text.len;
    request->timestamp = timestamp;
    request->user_agent = user_agent;
}

static const struct dialect_handler handlers[] = {
    {.type = "ping", .handle = on_ping},
    {.type = "chat_message", .handle = on_chat_message},
    {.type = "contact_request", .handle = on_contact_request},
    {.type = "cancel", .handle = dialect_on_cancel, .extension = true},
};

static void decode(const struct dialect_client *client, const struct dialect_context *context, const char *bytes,
                   size_t len, bool binary, struct dialect_request *request, struct frames *out)
{
    const struct dialect_message message = {client, context, dialect_parse(bytes, len, binary), request, out};
    if (!message.object) {
        add_error(out, context->now, "消息格式错误，必须是有效的JSON", dialect_span_of(""));
        return;
    }
    struct dialect_span type = dialect_get_text(message.object, "type");
    if (!dialect_handle(&message, handlers, sizeof handlers / sizeof *handlers, type))
        add_error(out, context->now, "未知的消息类型: ", type.data ? type : dialect_span_of("None"));
    json_decref(message.object);
}

/* ---- What it is told */

static void add_stored(const struct dialect_occasion *occasion, struct frames *out)
{
    json_t *frame = make_notice("contact_request_received", occasion->now, "联系请求已收到，博主将尽快回复您",
                                "request_id", occasion->id);
    json_object_set_new(frame, "status", json_string("received"));
    frames_add_json(out, frame);
}

/* What the owner has to say: a text as it is, anything else as JSON. */
static void add_broadcast(const struct dialect_client *client, const struct dialect_occasion *occasion,
                          struct frames *out)
{
    json_t *value = NULL;
    struct dialect_span text = occasion->data;
    if (json_parse(text.data, text.len, NULL, 0, &value) == ERR_NONE && json_is_string(value))
        text = (struct dialect_span){json_string_value(value), json_string_length(value)};
    if (client->extended)
        add_message(out, occasion->now, "broadcast", text, "");
    else
        add_chat_message(out, occasion->now, text);
    json_decref(value);
}

static void add_apology(const struct dialect_occasion *occasion, struct frames *out)
{
    bool configured = occasion->apology.len > 0;
    add_chat_message(out, occasion->now, configured ? occasion->apology : dialect_span_of(occasion->request->note));
}

static void encode(const struct dialect_client *client, const struct dialect_occasion *occasion, struct frames *out)
{
    switch (occasion->kind) {
    case DIALECT_COMPLETED:
        add_chat_message(out, occasion->now, occasion->all);
        break;
    case DIALECT_FAILED:
        add_apology(occasion, out);
        break;
    case DIALECT_CANCELLED:
        if (!dialect_encode_extension(client, occasion, out))
            add_apology(occasion, out);
        break;
    case DIALECT_CONTACT_STORED:
        add_stored(occasion, out);
        break;
    case DIALECT_CONTACT_FAILED:
    case DIALECT_REFUSED:
        add_error(out, occasion->now, "处理消息时出错: ", occasion->reason);
        break;
    case DIALECT_BROADCAST:
        add_broadcast(client, occasion, out);
        break;
    default: /* of the extension, or not of this protocol */
        dialect_encode_extension(client, occasion, out);
        break;
    }
}

const struct dialect dialect_contact = {
    .name = "contact",
    .serial = true,
    .resumes = true,
    .for_contacts = true,
    .ping_interval_s = PING_INTERVAL_S,
    .serves = serves,
    .open = open_client,
    .decode = decode,
    .encode = encode,
};

/* ---- Over HTTP */

static void set_text(json_t *object, const char *key, struct dialect_span text)
{
    json_object_set_new(object, key, text.len > 0 ? json_text(text.data, text.len) : json_null());
}

static json_t *describe(const struct contact_listed *listed)
{
    char iso[ISO_TIME_SIZE];
    iso_time(listed->received, iso);
    json_t *object = json_pack("{s:I, s:s, s:s, s:s}", "number", (json_int_t)listed->number, "request_id",
                               listed->request, "client_id", listed->connection, "received_at", iso);
    set_text(object, "message", listed->message);
    set_text(object, "timestamp", listed->timestamp);
    set_text(object, "userAgent", listed->user_agent);
    return object;
}

json_t *contact_list(const struct contact_listed *list, size_t count, uint64_t next)
{
    json_t *contacts = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(contacts, describe(&list[i]));
    return json_pack("{s:o, s:o}", "contacts", contacts, "next",
                     next > 0 ? json_integer((json_int_t)next) : json_null());
}

const char *contact_read_broadcast(const char *body, size_t len, struct buf *message)
{
    json_t *object = dialect_parse(body, len, false);
    if (!object)
        return "Invalid JSON format";
    struct dialect_span text = dialect_get_text(object, "message");
    bool valid = text.data && !utf8_blank(text.data, text.len);
    if (valid)
        json_append(message, json_object_get(object, "message"));
    json_decref(object);
    return valid ? NULL : "message is required";
}
