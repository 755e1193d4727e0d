/* Ask: a question.
 *
 *   subject   SUBJECT_COMMAND_ASK, one router of the queue group
 *   from      a gateway
 *   answers   Events to the reply subject, one event: Accepted once the job stands in the JOBS stream; or Failed, with
 *             the reason for people
 *   late      past its deadline it is dropped without a word: the gateway has told its client already
 *   broken    without valid ids or a reply subject there is nobody to tell: logged and dropped
 *
 * The job's message id is the turn, so a question that comes twice is one job. Where the store does not say whether it
 * has taken the job, the turn is marked as cancelled, so that no agent runs what its client was told has failed. */
#include "clock.h"
#include "command.pb-c.h"
#include "default_persona.h"
#include "event.pb-c.h"
#include "id.h"
#include "job.h"
#include "log.h"
#include "mem.h"
#include "router.h"
#include "store.h"
#include "stores.h"
#include "subjects.h"
#include "turn.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASON_SIZE 128

/* A question whose job is on its way into the stream. */
struct ask {
    struct router *router;
    char *reply;
    char turn[ID_TOKEN_MAX + 1];
    char connection[ID_TOKEN_MAX + 1];
    int64_t start_deadline_ms;
};

static void reply_event(struct router *router, const char *reply, Parley__Event *event)
{
    Parley__Events events = PARLEY__EVENTS__INIT;
    events.events = &event;
    events.n_events = 1;
    router_reply(router, reply, &events.base);
}

static void refuse(struct router *router, const char *reply, const char *connection, const char *turn,
                   const char *reason)
{
    Parley__Failed failed = PARLEY__FAILED__INIT;
    failed.reason.data = (uint8_t *)reason;
    failed.reason.len = strlen(reason);
    Parley__Event event = PARLEY__EVENT__INIT;
    event.connection = (char *)connection;
    event.turn = (char *)turn;
    event.kind_case = PARLEY__EVENT__KIND_FAILED;
    event.failed = &failed;
    reply_event(router, reply, &event);
    metric_add(router->metrics.refused, 1);
}

static void accept_ask(const struct ask *ask)
{
    Parley__Accepted accepted = PARLEY__ACCEPTED__INIT;
    accepted.start_deadline_ms = ask->start_deadline_ms;
    Parley__Event event = PARLEY__EVENT__INIT;
    event.connection = (char *)ask->connection;
    event.turn = (char *)ask->turn;
    event.kind_case = PARLEY__EVENT__KIND_ACCEPTED;
    event.accepted = &accepted;
    reply_event(ask->router, ask->reply, &event);
    metric_add(ask->router->metrics.accepted, 1);
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
    default:
        return "the message store refused the question";
    }
}

static void free_ask(struct ask *ask)
{
    free(ask->reply);
    free(ask);
}

static void on_marked(void *arg, int err, uint64_t revision, bool duplicate)
{
    (void)revision;
    (void)duplicate;
    struct ask *ask = arg;
    if (err && err != ERR_CONFLICT) /* a conflict: an agent has claimed it, or somebody has cancelled it */
        log_warning("a failed question could not be marked as cancelled", LOG_TEXT("turn", ask->turn), LOG_ERR(err));
    router_end(ask->router);
    free_ask(ask);
}

/* The same mark that a gateway leaves which finds no agent to cancel. */
static void mark_cancelled(struct ask *ask)
{
    Parley__TurnRecord record = PARLEY__TURN_RECORD__INIT;
    record.turn = ask->turn;
    record.state = PARLEY__TURN_STATE__TURN_STATE_CANCEL_ASKED;
    struct buf packed = {0};
    wire_pack(&record.base, &packed);
    store_put(ask->router->service->bus, BUCKET_TURNS, ask->turn, STORE_NEW, &packed, STORE_TIMEOUT_MS, on_marked, ask);
    buf_deinit(&packed);
}

static void on_queued(void *arg, int err, uint64_t sequence, bool duplicate)
{
    (void)sequence;
    struct ask *ask = arg;
    if (!err) {
        log_debug("question accepted", LOG_TEXT("turn", ask->turn), LOG_TEXT("connection", ask->connection),
                  LOG_INT("duplicate", duplicate));
        accept_ask(ask);
    } else {
        log_warning("a question could not be queued", LOG_TEXT("turn", ask->turn), LOG_ERR(err));
        refuse(ask->router, ask->reply, ask->connection, ask->turn, reason_of(err));
        if (err == ERR_TIMEOUT || err == ERR_DISCONNECTED) {
            mark_cancelled(ask);
            return;
        }
    }
    router_end(ask->router);
    free_ask(ask);
}

static void queue_job(struct router *router, const char *reply, const Parley__Ask *command)
{
    struct ask *ask = mem_alloc(sizeof *ask);
    ask->router = router;
    ask->reply = mem_strdup(reply);
    snprintf(ask->turn, sizeof ask->turn, "%s", command->turn);
    snprintf(ask->connection, sizeof ask->connection, "%s", command->connection);
    int64_t now_ms = clock_wall_ms();
    ask->start_deadline_ms = now_ms + router->settings->turn_start_timeout_ms;

    Parley__Persona persona;
    default_persona_init(&persona);
    struct buf job = {0};
    job_pack(command, &persona, now_ms, ask->start_deadline_ms, &job);
    char subject[SUBJECT_SIZE];
    snprintf(subject, sizeof subject, SUBJECT_JOB, router->settings->pool);
    store_publish(router->service->bus, subject, ask->turn, &job,
                  router_time_left(command->deadline_ms, STORE_TIMEOUT_MS), on_queued, ask);
    buf_deinit(&job);
}

static bool has_ids(const Parley__Ask *ask)
{
    return id_is_token(ask->turn, strlen(ask->turn)) && id_is_token(ask->gateway, strlen(ask->gateway)) &&
           id_is_token(ask->connection, strlen(ask->connection));
}

/* Writes why the question can't be taken, or an empty text. */
static void check(const struct router_settings *settings, const Parley__Ask *ask, char reason[REASON_SIZE])
{
    reason[0] = '\0';
    if (ask->question.len == 0)
        snprintf(reason, REASON_SIZE, "the question is empty");
    else if (ask->question.len > (size_t)settings->question_max_bytes)
        snprintf(reason, REASON_SIZE, "the question is longer than %" PRId64 " bytes", settings->question_max_bytes);
    else if (ask->credential.len > (size_t)settings->credential_max_bytes)
        snprintf(reason, REASON_SIZE, "the credential is longer than %" PRId64 " bytes",
                 settings->credential_max_bytes);
    else if (ask->conversation.len == 0)
        snprintf(reason, REASON_SIZE, "the question belongs to no conversation");
}

void on_ask(void *arg, const struct bus_message *message)
{
    struct router *router = arg;
    Parley__Ask *ask;
    int err = wire_unpack(router->command, &parley__ask__descriptor, message->data, message->len, &ask);
    if (err || !message->reply || !has_ids(ask)) {
        log_warning("a question that can't be read was dropped", LOG_TEXT("subject", message->subject));
        return;
    }
    if (router_too_late(ask->deadline_ms)) {
        metric_add(router->metrics.late, 1);
        log_debug("a question past its deadline was dropped", LOG_TEXT("turn", ask->turn));
        return;
    }
    char reason[REASON_SIZE];
    check(router->settings, ask, reason);
    if (reason[0])
        refuse(router, message->reply, ask->connection, ask->turn, reason);
    else if (!router_begin(router))
        refuse(router, message->reply, ask->connection, ask->turn, "too many questions at once; try again later");
    else
        queue_job(router, message->reply, ask);
}
