/* Ask: a question.
 *
 *   subject   SUBJECT_COMMAND_ASK, one router of the queue group
 *   from      a gateway
 *   answers   Events to the reply subject, one event: Accepted once the job stands in the JOBS stream; Noted where no
 *             answer is wanted; or Failed, with the reason for people
 *   late      past its deadline it is dropped without a word: the gateway has told its client already
 *   broken    without valid ids or a reply subject there is nobody to tell: logged and dropped
 *   repeated  a turn id is one job, and one turn of its conversation
 *
 * Where the room counts its messages, the question becomes part of the conversation first, which gives it and its
 * answer their numbers; then it is shown to all in the room: RoomMessage, to SUBJECT_ROOM.
 *
 * Where the store does not say whether it has taken the job, the turn is marked as cancelled, so that no agent runs
 * what its client was told has failed. */
#include "ask.h"
#include "change.h"
#include "clock.h"
#include "command.pb-c.h"
#include "config.h"
#include "conversation.h"
#include "event.pb-c.h"
#include "id.h"
#include "job.h"
#include "log.h"
#include "mem.h"
#include "router.h"
#include "store.h"
#include "stores.h"
#include "subjects.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- What the gateway is told */

static Parley__Event event_of(const char *connection, const char *turn, Parley__Event__KindCase kind)
{
    Parley__Event event = PARLEY__EVENT__INIT;
    event.connection = (char *)connection;
    event.turn = (char *)turn;
    event.kind_case = kind;
    return event;
}

static void refuse(const struct command *command, const char *connection, const char *turn, const char *reason)
{
    Parley__Failed failed = PARLEY__FAILED__INIT;
    Parley__Event event = event_of(connection, turn, PARLEY__EVENT__KIND_FAILED);
    failed.reason = router_text(reason);
    event.failed = &failed;
    router_send_event(command, command->reply, &event);
    metric_add(command->router->metrics.refused, 1);
}

static void accept_ask(const struct ask *ask)
{
    Parley__Accepted accepted = PARLEY__ACCEPTED__INIT;
    Parley__Event event = event_of(ask->connection, ask->turn, PARLEY__EVENT__KIND_ACCEPTED);
    accepted.start_deadline_ms = ask->start_deadline_ms;
    if (ask->apology)
        accepted.apology = router_text(ask->apology);
    accepted.message_id = ask->answer_id;
    event.accepted = &accepted;
    router_send_event(&ask->command, ask->command.reply, &event);
    metric_add(ask->command.router->metrics.accepted, 1);
}

static void note_ask(const struct ask *ask)
{
    Parley__Noted noted = PARLEY__NOTED__INIT;
    Parley__Event event = event_of(ask->connection, ask->turn, PARLEY__EVENT__KIND_NOTED);
    event.noted = &noted;
    router_send_event(&ask->command, ask->command.reply, &event);
    metric_add(ask->command.router->metrics.noted, 1);
}

static const char *reason_of(int err)
{
    switch (err) {
    case ERR_FULL:
        return "too many questions are waiting; try again later";
    case ERR_TIMEOUT:
        return "the message store did not answer in time";
    case ERR_DISCONNECTED:
    case ERR_NO_RESPONDERS:
        return "the message store is unreachable";
    case ERR_TOO_LARGE:
        return "the question is too large for the message broker";
    case ERR_CONFLICT:
        return "too many are speaking in this conversation at once; try again later";
    case ERR_INVALID:
    case ERR_CANCELLED:
        return "what is stored of the conversation can't be read";
    default:
        return "the message store refused the question";
    }
}

/* ---- Its memory */

static void stop_ask(struct command *command)
{
    change_stop(&((struct ask *)command)->change);
}

static void deinit_ask(struct command *command)
{
    struct ask *ask = (struct ask *)command;
    buf_deinit(&ask->job);
    buf_deinit(&ask->message);
    free(ask->apology);
}

/* ---- Into the stream */

static void on_queued(void *arg, int err, uint64_t sequence, bool duplicate)
{
    (void)sequence;
    struct ask *ask = arg;
    if (!err) {
        log_debug("question accepted", LOG_TEXT("turn", ask->turn), LOG_TEXT("connection", ask->connection),
                  LOG_TRACE(&ask->command.trace), LOG_INT("duplicate", duplicate));
        accept_ask(ask);
        router_end(&ask->command);
        return;
    }
    log_warning("a question could not be queued", LOG_TEXT("turn", ask->turn), LOG_TRACE(&ask->command.trace),
                LOG_ERR(err));
    refuse(&ask->command, ask->connection, ask->turn, reason_of(err));
    if (err == ERR_TIMEOUT || err == ERR_DISCONNECTED)
        ask_withdraw(ask);
    else
        ask_take_back(ask);
}

static void queue_job(struct ask *ask)
{
    char subject[SUBJECT_SIZE];
    snprintf(subject, sizeof subject, SUBJECT_JOB, ask->command.router->settings->pool);
    store_publish(ask->command.router->service->bus, subject, ask->turn, STORE_ANY, &ask->command.trace, &ask->job,
                  router_time_left(ask->deadline_ms, STORE_TIMEOUT_MS), on_queued, ask);
}

/* ---- Into the conversation */

static const Parley__Ask *asked(const struct ask *ask)
{
    Parley__Ask *message;
    if (wire_unpack(ask->command.router->message, &parley__ask__descriptor, ask->message.data, ask->message.len,
                    &message))
        abort(); /* on_ask() has unpacked the same bytes */
    return message;
}

static enum change_verdict make_asked(void *arg, const void *stored, size_t len, struct buf *out)
{
    struct ask *ask = arg;
    const Parley__Ask *message = asked(ask);
    const struct conversation_limits limits = router_conversation_limits(ask->command.router);
    Parley__ConversationTurn turn = PARLEY__CONVERSATION_TURN__INIT;
    turn.turn = ask->turn;
    turn.connection = ask->connection;
    turn.question = message->question;
    turn.chain = message->chain;
    turn.asked_ms = ask->asked_ms;
    if (!message->no_answer)
        turn.state = PARLEY__TURN_STATE__TURN_STATE_RUNNING;
    bool added;
    if (conversation_ask(ask->command.router->stored, stored, len, &turn, &limits, out, &added))
        return CHANGE_GIVE_UP;
    ask->late = added && router_too_late(ask->deadline_ms);
    ask->known = !added && ask->change.tries == 1;
    ask->question_id = turn.question_id;
    ask->answer_id = turn.answer_id;
    return ask->late ? CHANGE_GIVE_UP : added ? CHANGE_WRITE : CHANGE_NONE;
}

static void show_to_room(const struct ask *ask, const Parley__Ask *message)
{
    char subject[SUBJECT_SIZE];
    Parley__RoomMessage shown = PARLEY__ROOM_MESSAGE__INIT;
    Parley__Event event = event_of(ask->connection, ask->turn, PARLEY__EVENT__KIND_ROOM_MESSAGE);
    shown.message_id = ask->question_id;
    shown.text = message->question;
    shown.chain = message->chain;
    shown.asked_ms = ask->asked_ms;
    event.room_message = &shown;
    snprintf(subject, sizeof subject, SUBJECT_ROOM, message->room);
    router_send_event(&ask->command, subject, &event);
}

/* The client has been told by its gateway. */
static void drop_late(struct ask *ask)
{
    metric_add(ask->command.router->metrics.late, 1);
    router_end(&ask->command);
}

static void on_remembered(void *arg, int err)
{
    struct ask *ask = arg;
    if (ask->late) {
        drop_late(ask);
        return;
    }
    if (err) {
        log_warning("a question could not be kept", LOG_TEXT("turn", ask->turn), LOG_TRACE(&ask->command.trace),
                    LOG_TEXT("conversation", ask->change.conversation), LOG_ERR(err));
        refuse(&ask->command, ask->connection, ask->turn, reason_of(err));
        ask_take_back(ask); /* an answer of the store's may have been lost */
        return;
    }
    const Parley__Ask *message = asked(ask);
    if (!ask->known)
        show_to_room(ask, message);
    if (message->no_answer) {
        note_ask(ask);
        router_end(&ask->command);
        return;
    }
    job_set_message_id(&ask->job, ask->answer_id);
    queue_job(ask);
}

/* ---- What comes */

static void start_ask(const struct command *command, const struct bus_message *message, const Parley__Ask *question,
                      const struct config_choice *choice)
{
    static const struct change_handlers handlers = {.make = make_asked, .done = on_remembered};
    struct router *router = command->router;
    struct ask *ask = router_begin(command, sizeof *ask);
    ask->command.stop = stop_ask;
    ask->command.deinit = deinit_ask;
    snprintf(ask->turn, sizeof ask->turn, "%s", question->turn);
    snprintf(ask->connection, sizeof ask->connection, "%s", question->connection);
    ask->asked_ms = clock_wall_ms();
    ask->deadline_ms = question->deadline_ms;
    ask->start_deadline_ms = ask->asked_ms + router->settings->turn_start_timeout_ms;
    if (choice->apology)
        ask->apology = mem_strdup(choice->apology);
    job_pack(question, choice, ask->asked_ms, ask->start_deadline_ms, &ask->job);
    if (!question->counted) {
        queue_job(ask);
        return;
    }
    char conversation[ID_HASH_SIZE];
    job_conversation_key(&question->conversation, conversation);
    buf_append(&ask->message, message->data, message->len);
    change_start(router, &ask->change, conversation, &handlers, ask);
}

static bool has_ids(const Parley__Ask *ask)
{
    bool in_room = ask->room[0] != '\0';
    return id_is_token_text(ask->turn) && id_is_token_text(ask->gateway) && id_is_token_text(ask->connection) &&
           (in_room ? id_is_token_text(ask->room) : !ask->counted) && (ask->counted || !ask->no_answer);
}

/* Chooses who answers, or writes why the question can't be taken: then `reason` is not empty. */
static void check(const struct router *router, const Parley__Ask *ask, struct config_choice *choice,
                  char reason[CONFIG_REASON_SIZE])
{
    const struct router_settings *settings = router->settings;
    reason[0] = '\0';
    if (ask->question.len == 0)
        snprintf(reason, CONFIG_REASON_SIZE, "the question is empty");
    else if (ask->question.len > (size_t)settings->question_max_bytes)
        snprintf(reason, CONFIG_REASON_SIZE, "the question is longer than %" PRId64 " bytes",
                 settings->question_max_bytes);
    else if (ask->credential.len > (size_t)settings->credential_max_bytes)
        snprintf(reason, CONFIG_REASON_SIZE, "the credential is longer than %" PRId64 " bytes",
                 settings->credential_max_bytes);
    else if (ask->conversation.len == 0)
        snprintf(reason, CONFIG_REASON_SIZE, "the question belongs to no conversation");
    else if (router_is_full(router))
        snprintf(reason, CONFIG_REASON_SIZE, ROUTER_FULL);
    else if (config_choose(router->config, ask->pipeline, ask->persona, ask->from_contact, choice, reason))
        return; /* it has said why */
}

void on_ask(void *arg, const struct bus_message *message)
{
    struct router *router = arg;
    struct command command;
    const Parley__Ask *ask = router_read(router, message, &parley__ask__descriptor, &command);
    if (!ask || !has_ids(ask)) {
        router_drop(&command, message);
        return;
    }
    if (router_too_late(ask->deadline_ms)) {
        metric_add(router->metrics.late, 1);
        log_warning("a question past its deadline was dropped; do the clocks of gateway and router agree?",
                    LOG_TEXT("turn", ask->turn), LOG_TRACE(&command.trace));
        return;
    }
    struct config_choice choice = {0};
    char reason[CONFIG_REASON_SIZE];
    check(router, ask, &choice, reason);
    if (reason[0])
        refuse(&command, ask->connection, ask->turn, reason);
    else
        start_ask(&command, message, ask, &choice);
    config_choice_deinit(&choice);
}
