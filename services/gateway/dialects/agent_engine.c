/* The agent engine's protocol: /ws/agent. Section 5 of the protocols.
 *
 *   ping             pong
 *   agent_query      status "processing" when it is taken up, then the whole answer: agent_response
 *   streaming_query  stream_start when an agent has begun, stream_chunk…, stream_end
 *   tool_call        tool_result; runs at once, beside an answer
 *   cancel           cancelled, once everything that ran or waited has ended
 *   anything else    error
 *
 * No field tells two answers apart, so they are serial. The connection is the conversation. */
#include "dialect_message.h"
#include "dialect_rest.h"
#include "json.h"
#include "utf8.h"

#include <string.h>

enum mode { MODE_QUERY = 1, MODE_STREAMING, MODE_TOOL_CALL };

static bool serves(const char *path)
{
    return strcmp(path, "/ws/agent") == 0;
}

static void open_client(struct dialect_client *client, const struct dialect_context *context, const char *path,
                        struct dialect_request *request, struct frames *out)
{
    (void)context;
    (void)path;
    (void)request;
    frames_add_json(out, json_pack("{s:s, s:s, s:s}", "type", "connected", "connection_id", client->id, "message",
                                   "Connected to Agent WebSocket"));
}

/* ---- What a client says */

/* `what` alone, or followed by a text of any content. */
static void add_error(struct frames *out, double now, const char *what, struct dialect_span text)
{
    json_t *error = dialect_sentence(what, text);
    frames_add_json(out, json_pack("{s:s, s:o, s:f}", "type", "error", "error", error, "timestamp", now));
}

static void add_status(struct frames *out, double now, const char *type)
{
    frames_add_json(out, json_pack("{s:s, s:f}", "type", type, "timestamp", now));
}

static void refuse(const struct dialect_message *message, const char *what)
{
    add_error(message->out, message->context->now, what, dialect_span_of(""));
}

static void on_ping(const struct dialect_message *message)
{
    add_status(message->out, message->context->now, "pong");
}

static void ask(const struct dialect_message *message, enum mode mode, enum dialect_text text)
{
    struct dialect_span query = dialect_get_text(message->object, "query");
    if (!query.data || utf8_blank(query.data, query.len)) {
        refuse(message, "Query is required");
        return;
    }
    message->request->mode = mode;
    dialect_ask(message, query, text);
    dialect_use_own_conversation(message);
}

static void on_agent_query(const struct dialect_message *message)
{
    ask(message, MODE_QUERY, DIALECT_WHOLE);
}

static void on_streaming_query(const struct dialect_message *message)
{
    ask(message, MODE_STREAMING, DIALECT_DELTAS);
}

static void on_tool_call(const struct dialect_message *message)
{
    struct dialect_span tool = dialect_get_text(message->object, "tool_name");
    if (!tool.data || utf8_blank(tool.data, tool.len)) {
        refuse(message, "Tool name is required");
        return;
    }
    const json_t *params = json_object_get(message->object, "params");
    if (params && !json_is_object(params)) {
        refuse(message, "Tool call failed: params must be an object");
        return;
    }
    struct dialect_request *request = message->request;
    request->kind = DIALECT_CALL_TOOL;
    request->mode = MODE_TOOL_CALL;
    request->source = json_incref(message->object);
    request->tool = tool.data;
    request->tool_len = tool.len;
    if (params)
        json_append(&request->arguments, params);
    else
        buf_append_text(&request->arguments, "{}");
}

static const struct dialect_handler handlers[] = {
    {.type = "ping", .handle = on_ping},
    {.type = "agent_query", .handle = on_agent_query},
    {.type = "streaming_query", .handle = on_streaming_query},
    {.type = "tool_call", .handle = on_tool_call},
    {.type = "cancel", .handle = dialect_on_cancel},
};

static void decode(const struct dialect_client *client, const struct dialect_context *context, const char *bytes,
                   size_t len, bool binary, struct dialect_request *request, struct frames *out)
{
    const struct dialect_message message = {client, context, dialect_parse(bytes, len, binary), request, out};
    if (!message.object) {
        refuse(&message, "Invalid JSON format");
        return;
    }
    struct dialect_span type = dialect_get_text(message.object, "type");
    struct dialect_span named = type.data ? type : dialect_span_of("None");
    if (!dialect_handle(&message, handlers, sizeof handlers / sizeof *handlers, type))
        add_error(out, context->now, "Unknown message type: ", named);
    json_decref(message.object);
}

/* ---- What it is told */

static void add_chunk(const struct dialect_occasion *occasion, struct frames *out)
{
    struct buf *frame = frames_add(out);
    buf_append_text(frame, "{\"type\":\"stream_chunk\",\"content\":");
    frames_append_text(frame, occasion->text.data, occasion->text.len);
    buf_append_text(frame, ",\"timestamp\":");
    frames_append_seconds(frame, occasion->now);
    buf_append_char(frame, '}');
}

static void add_response(const struct dialect_occasion *occasion, struct frames *out)
{
    struct buf *frame = frames_add(out);
    buf_append_text(frame, "{\"type\":\"agent_response\",\"content\":");
    frames_append_text(frame, occasion->all.data, occasion->all.len);
    buf_append_text(frame, ",\"vendor\":");
    frames_append_text(frame, occasion->vendor, strlen(occasion->vendor));
    buf_append_text(frame, ",\"timestamp\":");
    frames_append_seconds(frame, occasion->now);
    buf_append_char(frame, '}');
}

static void add_tool_result(const struct dialect_occasion *occasion, struct frames *out)
{
    json_t *result = NULL;
    if (json_parse(occasion->data.data, occasion->data.len, NULL, 0, &result) != ERR_NONE) {
        add_error(out, occasion->now, "Tool call failed: its result can't be read", dialect_span_of(""));
        return;
    }
    frames_add_json(out, json_pack("{s:s, s:o, s:o, s:f}", "type", "tool_result", "tool_name",
                                   json_text(occasion->tool.data, occasion->tool.len), "result", result, "timestamp",
                                   occasion->now));
}

static const char *failure_of(const struct dialect_occasion *occasion)
{
    switch (occasion->request ? occasion->request->mode : MODE_QUERY) {
    case MODE_QUERY:
        return "Query failed: ";
    case MODE_STREAMING:
        return "Streaming failed: ";
    default:
        return "Tool call failed: ";
    }
}

static void encode(const struct dialect_client *client, const struct dialect_occasion *occasion, struct frames *out)
{
    bool streaming = occasion->request && occasion->request->mode == MODE_STREAMING;
    switch (occasion->kind) {
    case DIALECT_TAKEN_UP:
        if (!streaming)
            frames_add_json(out, json_pack("{s:s, s:s, s:f}", "type", "status", "status", "processing", "timestamp",
                                           occasion->now));
        break;
    case DIALECT_STARTED:
        if (streaming)
            add_status(out, occasion->now, "stream_start");
        break;
    case DIALECT_TEXT:
        add_chunk(occasion, out);
        break;
    case DIALECT_COMPLETED:
        if (streaming)
            add_status(out, occasion->now, "stream_end");
        else
            add_response(occasion, out);
        break;
    case DIALECT_FAILED:
    case DIALECT_TOOL_FAILED:
    case DIALECT_REFUSED:
        add_error(out, occasion->now, failure_of(occasion), occasion->reason);
        break;
    case DIALECT_TOOL_RESULT:
        add_tool_result(occasion, out);
        break;
    case DIALECT_TOOL_NOT_FOUND:
        add_error(out, occasion->now, "Tool not found: ", occasion->tool);
        break;
    case DIALECT_CANCELLED:
    case DIALECT_CANCEL_DONE:
        add_status(out, occasion->now, "cancelled");
        break;
    default: /* of the extension, or not of this protocol */
        dialect_encode_extension(client, occasion, out);
        break;
    }
}

/* ---- Over HTTP */

static json_t *describe(const struct dialect_connection *connection, double now)
{
    return json_pack("{s:s, s:f, s:I, s:f}", "id", connection->id, "connected_at", connection->connected_at,
                     "message_count", (json_int_t)connection->frames_sent, "uptime", now - connection->connected_at);
}

json_t *agent_engine_statistics(const struct dialect_counts *counts, const struct dialect_connection *list,
                                size_t count, double now)
{
    json_t *connections = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(connections, describe(&list[i], now));
    return json_pack("{s:I, s:I, s:I, s:o}", "active_connections", (json_int_t)counts->active, "total_connections",
                     (json_int_t)counts->total, "total_messages", (json_int_t)counts->frames_sent, "connections",
                     connections);
}

const struct dialect dialect_agent_engine = {
    .name = "agent_engine",
    .serial = true,
    .resumes = true,
    .serves = serves,
    .open = open_client,
    .decode = decode,
    .encode = encode,
};
