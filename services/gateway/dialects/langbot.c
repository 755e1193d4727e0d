/* LangBot's protocol: /api/v1/pipelines/<pipeline>/ws/connect?session_type=person|group. Section 3 of the protocols.
 *
 *   ping           pong
 *   message        user_message to all members of the session; then response… to them, but for a group's message that
 *                  the bot is not asked by (of the extension: noted, to its asker)
 *   disconnect     closed
 *   anything else  error
 *
 * The session, a pipeline's and a type's, is the conversation and the room. Its messages are counted, so answers can be
 * told apart and run side by side. Each response holds all text so far. */
#include "langbot.h"

#include "dialect_message.h"
#include "iso_time.h"
#include "json.h"
#include "langbot_chain.h"
#include "mem.h"
#include "utf8.h"

#include <string.h>

/* What asks the bot in a group, where its pipeline has no rule of its own. */
#define BOT_MENTION "websocketbot"
#define BOT_TRIGGER "ai"

static bool serves(const char *path)
{
    struct dialect_span pipeline;
    const char *action = langbot_split_path(path, &pipeline);
    return action && strcmp(action, "connect") == 0;
}

/* ---- Frames */

static void add_error(struct frames *out, const char *what, struct dialect_span text)
{
    frames_add_json(out, json_pack("{s:s, s:o}", "type", "error", "message", dialect_sentence(what, text)));
}

static void add_timed(struct frames *out, double now, json_t *frame)
{
    char iso[ISO_TIME_SIZE];
    iso_time(now, iso);
    json_object_set_new(frame, "timestamp", json_string(iso));
    frames_add_json(out, frame);
}

static void add_message(struct frames *out, const struct dialect_client *client, const char *type,
                        const struct langbot_message *message)
{
    struct buf *frame = frames_add(out);
    buf_printf(frame, "{\"type\":\"%s\",\"session_type\":\"%s\",\"data\":", type,
               langbot_session_name(client->variant));
    langbot_append_message(frame, message);
    buf_append_char(frame, '}');
}

/* ---- What a client says */

static void open_client(struct dialect_client *client, const struct dialect_context *context, const char *path,
                        struct dialect_request *request, struct frames *out)
{
    struct dialect_span pipeline;
    langbot_split_path(path, &pipeline);
    const char *type = context->argument(context->address, "session_type");
    client->variant = (uint8_t)langbot_find_session(type ? type : "person");
    const char *wrong = client->variant == LANGBOT_NO_SESSION       ? LANGBOT_BAD_SESSION
                        : !id_is_token(pipeline.data, pipeline.len) ? LANGBOT_UNKNOWN_PIPELINE
                                                                    : NULL;
    if (wrong) {
        add_error(out, wrong, dialect_span_of(""));
        request->kind = DIALECT_CLOSE;
        return;
    }
    client->name = mem_strndup(pipeline.data, pipeline.len);
    langbot_name_session(&client->room, client->name, client->variant);
    request->kind = DIALECT_JOIN;
    request->pipeline = client->name;
}

static void on_ping(const struct dialect_message *message)
{
    add_timed(message->out, message->context->now, json_pack("{s:s}", "type", "pong"));
}

static void on_disconnect(const struct dialect_message *message)
{
    message->request->kind = DIALECT_CLOSE;
}

static bool asks_the_bot(const struct dialect_client *client, const json_t *chain, const struct buf *text)
{
    const char *trigger = client->group_trigger ? client->group_trigger : BOT_TRIGGER;
    const char *mention = client->group_mention ? client->group_mention : BOT_MENTION;
    size_t len = strlen(trigger);
    return client->variant != LANGBOT_GROUP || langbot_chain_mentions(chain, mention) ||
           (text->len >= len && memcmp(text->data, trigger, len) == 0);
}

static void ask(const struct dialect_message *message, const json_t *chain, const struct buf *text, bool stream)
{
    const struct dialect_client *client = message->client;
    struct dialect_request *request = message->request;
    request->kind = DIALECT_ASK;
    request->text = stream ? DIALECT_CUMULATIVE : DIALECT_WHOLE;
    request->source = json_text(text->data, text->len);
    request->question = json_string_value(request->source);
    request->question_len = text->len;
    json_append(&request->chain, chain);
    langbot_name_session(&request->conversation, client->name, client->variant);
    request->pipeline = client->name;
    request->use_tools = request->in_room = request->counted = true;
    request->no_answer = !asks_the_bot(client, chain, text);
}

static void on_message(const struct dialect_message *message)
{
    const json_t *chain = json_object_get(message->object, "message");
    struct buf text = {0};
    bool stream = true;
    const char *wrong = NULL;
    if (!chain || json_is_null(chain))
        wrong = "message is required";
    else if (!langbot_chain_valid(chain))
        wrong = "message must be a list of components";
    else if (!dialect_take_bool(message->object, "stream", &stream))
        wrong = "stream must be a boolean";
    else
        langbot_chain_append_text(chain, &text);
    if (!wrong && utf8_blank(text.data, text.len))
        wrong = "message is empty";
    if (wrong)
        add_error(message->out, wrong, dialect_span_of(""));
    else
        ask(message, chain, &text, stream);
    buf_deinit(&text);
}

static const struct dialect_handler handlers[] = {
    {.type = "ping", .handle = on_ping},
    {.type = "message", .handle = on_message},
    {.type = "disconnect", .handle = on_disconnect},
    {.type = "cancel", .handle = dialect_on_cancel, .extension = true},
};

static struct dialect_span type_of(const json_t *object)
{
    return json_object_get(object, "type") ? dialect_get_text(object, "type") : dialect_span_of("message");
}

static void decode(const struct dialect_client *client, const struct dialect_context *context, const char *bytes,
                   size_t len, bool binary, struct dialect_request *request, struct frames *out)
{
    const struct dialect_message message = {client, context, dialect_parse(bytes, len, binary), request, out};
    if (!message.object) {
        add_error(out, "Invalid JSON format", dialect_span_of(""));
        return;
    }
    struct dialect_span type = type_of(message.object);
    if (!dialect_handle(&message, handlers, sizeof handlers / sizeof *handlers, type))
        add_error(out, "Unknown message type: ", type.data ? type : dialect_span_of("None"));
    json_decref(message.object);
}

/* ---- What it is told */

static void add_connected(const struct dialect_client *client, double now, struct frames *out)
{
    add_timed(out, now,
              json_pack("{s:s, s:s, s:s, s:s}", "type", "connected", "connection_id", client->id, "pipeline_uuid",
                        client->name, "session_type", langbot_session_name(client->variant)));
}

static void add_user_message(const struct dialect_client *client, const struct dialect_occasion *occasion,
                             struct frames *out)
{
    const struct langbot_message message = {
        .id = occasion->message_id,
        .from_user = true,
        .is_final = true,
        .text = occasion->text,
        .chain = occasion->data,
        .when = occasion->when,
        .connection = occasion->connection,
    };
    add_message(out, client, "user_message", &message);
}

static void add_response(const struct dialect_client *client, const struct dialect_occasion *occasion, bool is_final,
                         struct frames *out)
{
    const struct langbot_message message = {
        .id = occasion->message_id,
        .is_final = is_final,
        .text = occasion->all,
        .when = occasion->when > 0 ? occasion->when : occasion->now,
        .connection = "",
    };
    add_message(out, client, "response", &message);
}

static void add_broadcast(const struct dialect_occasion *occasion, struct frames *out)
{
    char iso[ISO_TIME_SIZE];
    iso_time(occasion->when, iso);
    struct buf *frame = frames_add(out);
    buf_append_text(frame, "{\"type\":\"broadcast\",\"message\":");
    buf_append(frame, occasion->data.data, occasion->data.len);
    buf_printf(frame, ",\"timestamp\":\"%s\"}", iso);
}

/* One that was begun ends as it stands, for those who have seen its beginning. */
static void add_cancelled(const struct dialect_client *client, const struct dialect_occasion *occasion,
                          struct frames *out)
{
    if (occasion->message_id > 0)
        add_response(client, occasion, true, out);
    else
        add_error(out, "cancelled", dialect_span_of(""));
}

static void encode(const struct dialect_client *client, const struct dialect_occasion *occasion, struct frames *out)
{
    switch (occasion->kind) {
    case DIALECT_JOINED:
        add_connected(client, occasion->now, out);
        break;
    case DIALECT_NO_PIPELINE:
        add_error(out, LANGBOT_UNKNOWN_PIPELINE, dialect_span_of(""));
        break;
    case DIALECT_ROOM_MESSAGE:
        add_user_message(client, occasion, out);
        break;
    case DIALECT_TEXT:
    case DIALECT_COMPLETED:
        add_response(client, occasion, occasion->kind == DIALECT_COMPLETED, out);
        break;
    case DIALECT_CANCELLED:
        add_cancelled(client, occasion, out);
        break;
    case DIALECT_FAILED:
    case DIALECT_JOIN_FAILED:
    case DIALECT_REFUSED:
        add_error(out, "", occasion->reason);
        break;
    case DIALECT_BROADCAST:
        add_broadcast(occasion, out);
        break;
    default: /* of the extension, or not of this protocol */
        dialect_encode_extension(client, occasion, out);
        break;
    }
}

const struct dialect dialect_langbot = {
    .name = "langbot",
    .room_text = DIALECT_CUMULATIVE,
    .serves = serves,
    .open = open_client,
    .decode = decode,
    .encode = encode,
};
