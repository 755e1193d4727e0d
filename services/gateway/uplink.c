#include "uplink.h"

#include "call.h"
#include "clock.h"
#include "command.pb-c.h"
#include "connection.h"
#include "log.h"
#include "rooms.h"
#include "subjects.h"
#include "tool.pb-c.h"
#include "turn.pb-c.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static ProtobufCBinaryData bytes_of(const char *data, size_t len)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)data, .len = len};
}

static char *text_or_empty(const char *text)
{
    return (char *)(text ? text : "");
}

static ProtobufCBinaryData bytes_of_buf(const struct buf *buf)
{
    return bytes_of(buf->data, buf->len);
}

/* The credential that came with a question, or else the connection's. */
static ProtobufCBinaryData credential_of(const struct connection *connection, const struct dialect_request *request)
{
    const char *credential = request->credential ? request->credential : connection->credential;
    return bytes_of(credential, credential ? strlen(credential) : 0);
}

static void pack_ask(const struct turn *turn, int64_t deadline_ms, struct buf *out)
{
    const struct dialect_request *request = &turn->request;
    const struct connection *asker = turn->asker;
    Parley__Ask ask = PARLEY__ASK__INIT;
    ask.turn = (char *)turn->id;
    ask.gateway = turn->gateway->service->id;
    ask.connection = (char *)turn->connection;
    ask.conversation = bytes_of_buf(&request->conversation);
    ask.user = text_or_empty(asker->client.user);
    ask.credential = credential_of(asker, request);
    ask.question = bytes_of(request->question, request->question_len);
    ask.pipeline = text_or_empty(request->pipeline);
    ask.persona = text_or_empty(request->persona);
    ask.use_tools = request->use_tools;
    ask.deadline_ms = deadline_ms;
    ask.dialect = (char *)asker->dialect->name;
    ask.room = text_or_empty(turn->room ? room_key(turn->room) : NULL);
    ask.counted = request->counted;
    ask.no_answer = request->no_answer;
    ask.chain = bytes_of_buf(&request->chain);
    ask.from_contact = asker->dialect->for_contacts;
    wire_pack(&ask.base, out);
}

int uplink_ask(const struct turn *turn)
{
    struct gateway *gateway = turn->gateway;
    if (!gateway_reachable(gateway))
        return ERR_DISCONNECTED;
    char reply[SUBJECT_SIZE];
    snprintf(reply, sizeof reply, SUBJECT_CONNECTION_TURN, gateway->service->id, turn->connection, turn->id);
    log_debug("question asked", LOG_TEXT("connection", turn->connection), LOG_TEXT("turn", turn->id),
              LOG_TRACE(&turn->trace));
    struct buf packed = {0};
    pack_ask(turn, clock_wall_ms() + gateway->settings->command_timeout_ms, &packed);
    struct trace_headers headers;
    int err =
        bus_publish(gateway->service->bus, SUBJECT_COMMAND_ASK, reply, trace_headers(&turn->trace, &headers), &packed);
    buf_deinit(&packed);
    return err;
}

void uplink_pack_call(const struct call *call, const struct dialect_request *request, int64_t deadline_ms,
                      struct buf *out)
{
    Parley__CallTool command = PARLEY__CALL_TOOL__INIT;
    command.call = (char *)call->id;
    command.connection = (char *)call->connection->client.id;
    command.name = (char *)request->tool;
    command.arguments = bytes_of_buf(&request->arguments);
    command.user = text_or_empty(call->connection->client.user);
    command.credential = credential_of(call->connection, request);
    command.deadline_ms = deadline_ms;
    wire_pack(&command.base, out);
}

void uplink_cancel_call(struct gateway *gateway, const char *call)
{
    Parley__ToolCancel cancel = PARLEY__TOOL_CANCEL__INIT;
    cancel.call = (char *)call;
    struct buf packed = {0};
    wire_pack(&cancel.base, &packed);
    int err = bus_publish(gateway->service->bus, SUBJECT_TOOL_CANCEL, NULL, NULL, &packed);
    (void)err;
    buf_deinit(&packed);
}

static ProtobufCBinaryData bytes_of_span(struct dialect_span span)
{
    return bytes_of(span.data, span.len);
}

void uplink_pack_contact(const struct connection *connection, const char *id, const struct dialect_request *request,
                         struct buf *out)
{
    Parley__Contact contact = PARLEY__CONTACT__INIT;
    contact.request = (char *)id;
    contact.connection = (char *)connection->client.id;
    contact.user = text_or_empty(connection->client.user);
    contact.message = bytes_of(request->question, request->question_len);
    contact.timestamp = bytes_of_span(request->timestamp);
    contact.user_agent = bytes_of_span(request->user_agent);
    contact.received_ms = clock_wall_ms();
    contact.deadline_ms = contact.received_ms + connection->gateway->settings->command_timeout_ms;
    wire_pack(&contact.base, out);
}

void uplink_pack_contact_list(uint64_t before, uint32_t limit, struct buf *out)
{
    Parley__ContactList list = PARLEY__CONTACT_LIST__INIT;
    list.before = before;
    list.limit = limit;
    wire_pack(&list.base, out);
}

void uplink_pack_contact_delete(uint64_t number, struct buf *out)
{
    Parley__ContactDelete contact = PARLEY__CONTACT_DELETE__INIT;
    contact.number = number;
    wire_pack(&contact.base, out);
}

void uplink_pack_find_pipeline(const char *pipeline, struct buf *out)
{
    Parley__FindPipeline find = PARLEY__FIND_PIPELINE__INIT;
    find.pipeline = (char *)pipeline;
    wire_pack(&find.base, out);
}

void uplink_pack_history(const struct buf *conversation, const char *pipeline, struct buf *out)
{
    Parley__History history = PARLEY__HISTORY__INIT;
    history.conversation = bytes_of_buf(conversation);
    history.pipeline = (char *)pipeline;
    wire_pack(&history.base, out);
}

void uplink_pack_reset(const struct buf *conversation, const char *pipeline, struct buf *out)
{
    Parley__Reset reset = PARLEY__RESET__INIT;
    reset.conversation = bytes_of_buf(conversation);
    reset.pipeline = (char *)pipeline;
    wire_pack(&reset.base, out);
}

void uplink_pack_broadcast(const struct buf *rooms, size_t count, const struct buf *message, const char *pipeline,
                           struct buf *out)
{
    char keys[UPLINK_ROOMS_MAX][ID_HASH_SIZE], *list[UPLINK_ROOMS_MAX];
    assert(count <= UPLINK_ROOMS_MAX);
    for (size_t i = 0; i < count; i++) {
        id_hash(rooms[i].data, rooms[i].len, keys[i]);
        list[i] = keys[i];
    }
    Parley__SendBroadcast broadcast = PARLEY__SEND_BROADCAST__INIT;
    broadcast.rooms = list;
    broadcast.n_rooms = count;
    broadcast.message = bytes_of_buf(message);
    broadcast.pipeline = text_or_empty(pipeline);
    wire_pack(&broadcast.base, out);
}

void uplink_pack_cancel(struct buf *out)
{
    Parley__Cancel cancel = PARLEY__CANCEL__INIT;
    Parley__TurnControl control = PARLEY__TURN_CONTROL__INIT;
    control.kind_case = PARLEY__TURN_CONTROL__KIND_CANCEL;
    control.cancel = &cancel;
    wire_pack(&control.base, out);
}

void uplink_pack_attach(const struct turn *turn, struct buf *out)
{
    Parley__Attach attach = PARLEY__ATTACH__INIT;
    attach.gateway = turn->gateway->service->id;
    attach.connection = (char *)turn->connection;
    attach.offset = turn->answer.text.len;
    attach.steps = turn->answer.step_count;
    Parley__TurnControl control = PARLEY__TURN_CONTROL__INIT;
    control.kind_case = PARLEY__TURN_CONTROL__KIND_ATTACH;
    control.attach = &attach;
    wire_pack(&control.base, out);
}
