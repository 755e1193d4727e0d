#include "rest_langbot.h"

#include "command.pb-c.h"
#include "conversation.pb-c.h"
#include "mem.h"
#include "subjects.h"
#include "turn_state.h"
#include "uplink.h"

#include <stdlib.h>

/* Whether an answer says that nothing was done: then the call has failed, with 404 where there is no pipeline. */
static bool has_failed(struct rest_call *call, bool no_pipeline, const ProtobufCBinaryData *failure)
{
    if (no_pipeline)
        rest_call_fail(call, 404, LANGBOT_UNKNOWN_PIPELINE);
    return no_pipeline || rest_call_has_failed(call, failure);
}

/* ---- Messages */

static size_t list_turn(const Parley__ConversationTurn *turn, struct langbot_message *out)
{
    size_t count = 0;
    out[count++] = (struct langbot_message){
        .id = turn->question_id,
        .from_user = true,
        .is_final = true,
        .text = gateway_text(&turn->question),
        .chain = gateway_text(&turn->chain),
        .when = (double)turn->asked_ms / 1000,
        .connection = turn->connection,
    };
    if (!turn_state_is_final(turn->state) || turn->answer_id == 0 ||
        (turn->answer.len == 0 && turn->state != PARLEY__TURN_STATE__TURN_STATE_COMPLETED))
        return count;
    out[count++] = (struct langbot_message){
        .id = turn->answer_id,
        .is_final = true,
        .text = gateway_text(&turn->answer),
        .chain = {"", 0},
        .when = (double)(turn->started_ms > 0 ? turn->started_ms : turn->ended_ms) / 1000,
        .connection = "",
    };
    return count;
}

static void respond_messages(struct rest_call *call, const Parley__Conversation *conversation)
{
    size_t turns = conversation ? conversation->n_turns : 0, count = 0;
    struct langbot_message *list = mem_alloc((2 * turns + 1) * sizeof *list);
    for (size_t i = 0; i < turns; i++)
        count += list_turn(conversation->turns[i], list + count);
    struct buf body = {0};
    langbot_reply_messages(&body, list, count);
    free(list);
    rest_call_respond_body(call, &body);
}

static void on_history(struct rest_call *call, const struct bus_message *reply)
{
    Parley__HistoryReply *history;
    if (!rest_call_unpack(call, reply, &parley__history_reply__descriptor, &history) ||
        has_failed(call, history->no_pipeline, &history->failure))
        return;
    struct buf packed = {0}; /* the arena is about to be used again */
    buf_append(&packed, history->conversation.data, history->conversation.len);
    Parley__Conversation *conversation = NULL;
    int err = packed.len == 0 ? ERR_NONE
                              : wire_unpack(call->gateway->arena, &parley__conversation__descriptor, packed.data,
                                            packed.len, &conversation);
    if (err)
        rest_call_fail(call, 503, "the conversation can't be read");
    else
        respond_messages(call, conversation);
    buf_deinit(&packed);
}

/* ---- Reset, broadcast, connections */

static bool is_done(struct rest_call *call, const struct bus_message *reply)
{
    Parley__Done *done;
    return rest_call_unpack(call, reply, &parley__done__descriptor, &done) &&
           !has_failed(call, done->no_pipeline, &done->failure);
}

static void on_reset(struct rest_call *call, const struct bus_message *reply)
{
    if (is_done(call, reply))
        rest_call_respond(call, 200, langbot_reply_done(LANGBOT_RESET));
}

static void on_broadcast(struct rest_call *call, const struct bus_message *reply)
{
    if (is_done(call, reply))
        rest_call_respond(call, 200, langbot_reply_done(LANGBOT_BROADCAST));
}

static void on_connections(void *arg, const struct stats *stats)
{
    struct rest_call *call = arg;
    rest_call_respond(call, 200, langbot_reply_connections(stats->list, stats->count, call->kept));
}

static void on_pipeline_found(struct rest_call *call, const struct bus_message *reply)
{
    if (is_done(call, reply))
        rest_call_gather(call, &dialect_langbot, true, on_connections);
}

/* ---- The calls */

static void get_connections(struct rest_call *call, const char *pipeline)
{
    struct buf packed = {0};
    call->kept = mem_strdup(pipeline);
    uplink_pack_find_pipeline(pipeline, &packed);
    rest_call_ask(call, SUBJECT_COMMAND_FIND_PIPELINE, &packed, on_pipeline_found);
}

static void send_broadcast(struct rest_call *call, const char *pipeline, const struct rest_request *request)
{
    struct buf message = {0}, rooms[2] = {0}, packed = {0};
    const char *wrong = langbot_read_broadcast(request->body, request->len, &message);
    if (wrong) {
        rest_call_fail(call, 400, wrong);
    } else {
        langbot_name_session(&rooms[0], pipeline, LANGBOT_PERSON);
        langbot_name_session(&rooms[1], pipeline, LANGBOT_GROUP);
        uplink_pack_broadcast(rooms, 2, &message, pipeline, &packed);
        rest_call_ask(call, SUBJECT_COMMAND_BROADCAST, &packed, on_broadcast);
    }
    buf_deinit(&rooms[0]);
    buf_deinit(&rooms[1]);
    buf_deinit(&message);
}

/* A session's messages, or its reset. */
static void ask_of_session(struct rest_call *call, const struct langbot_call *langbot)
{
    struct buf name = {0}, packed = {0};
    langbot_name_session(&name, langbot->pipeline, langbot->session);
    if (langbot->kind == LANGBOT_MESSAGES) {
        uplink_pack_history(&name, langbot->pipeline, &packed);
        rest_call_ask(call, SUBJECT_COMMAND_HISTORY, &packed, on_history);
    } else {
        uplink_pack_reset(&name, langbot->pipeline, &packed);
        rest_call_ask(call, SUBJECT_COMMAND_RESET, &packed, on_reset);
    }
    buf_deinit(&name);
}

static bool has_session(enum langbot_call_kind kind)
{
    return kind == LANGBOT_MESSAGES || kind == LANGBOT_RESET;
}

static void handle(struct rest_call *call, const struct rest_request *request)
{
    struct langbot_call langbot;
    if (!langbot_find_call(request->head->path, &langbot) || langbot.pipeline[0] == '\0')
        rest_call_fail(call, 404, LANGBOT_UNKNOWN_PIPELINE);
    else if (has_session(langbot.kind) && langbot.session == LANGBOT_NO_SESSION)
        rest_call_fail(call, 400, LANGBOT_BAD_SESSION);
    else if (has_session(langbot.kind))
        ask_of_session(call, &langbot);
    else if (langbot.kind == LANGBOT_BROADCAST)
        send_broadcast(call, langbot.pipeline, request);
    else
        get_connections(call, langbot.pipeline);
}

bool rest_langbot_find(const char *path, struct rest_route *route)
{
    struct langbot_call call;
    if (!langbot_find_call(path, &call))
        return false;
    *route = (struct rest_route){
        .method = call.method,
        .path = path,
        .owner_only = call.kind != LANGBOT_MESSAGES,
        .handle = handle,
        .failure = langbot_failure,
    };
    return true;
}
