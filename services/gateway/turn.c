#include "turn.h"

#include "cancel.h"
#include "clock.h"
#include "connection.h"
#include "log.h"
#include "mem.h"
#include "recover.h"
#include "rooms.h"
#include "session.h"
#include "uplink.h"
#include "withdraw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Clocks differ a little between machines, and an agent's first event takes its time. */
#define START_GRACE_MS      1000
#define START_WITHIN_MAX_MS (24 * 3600 * (int64_t)1000)

static struct turn *make_turn(struct gateway *gateway, const char *id, const char *connection)
{
    struct turn *turn = mem_alloc(sizeof *turn);
    memcpy(turn->id, id, sizeof turn->id);
    memcpy(turn->connection, connection, sizeof turn->connection);
    turn->gateway = gateway;
    answer_init(&turn->answer, (size_t)gateway->settings->answer_max_bytes);
    return turn;
}

struct turn *turn_new(struct gateway *gateway, struct connection *asker, const char *id,
                      struct dialect_request *request)
{
    struct turn *turn = make_turn(gateway, id, asker->client.id);
    turn->asker = asker;
    turn->trace = connection_trace(asker);
    turn->request = *request;
    *request = (struct dialect_request){0};
    return turn;
}

struct turn *turn_find(const struct gateway *gateway, const char *id)
{
    return OWNER_OF(table_find(&gateway->turns, id), struct turn, by_id);
}

/* ---- In flight */

static bool is_in_flight(const struct turn *turn)
{
    return turn->phase > TURN_WAITING && turn->phase < TURN_ENDED;
}

static void take_off(struct turn *turn)
{
    struct gateway *gateway = turn->gateway;
    table_add(&gateway->turns, &turn->by_id, turn->id);
    chain_add(&gateway->in_flight, &turn->in_flight);
    metric_set(gateway->metrics.answers_in_flight, (double)++gateway->in_flight_count);
    turn->phase = TURN_ASKED;
    turn->asked_ms = turn->heard_ms = turn->inquired_ms = clock_monotonic_ms();
    turn->give_up_ms = turn->asked_ms + gateway->settings->command_timeout_ms;
    gateway_keep_ticking(gateway);
}

static void land(struct turn *turn)
{
    struct gateway *gateway = turn->gateway;
    table_remove(&gateway->turns, &turn->by_id);
    chain_remove(&turn->in_flight);
    metric_set(gateway->metrics.answers_in_flight, (double)--gateway->in_flight_count);
    turn->phase = TURN_ENDED;
    chain_remove(&turn->in_room);
    turn->room = NULL;
    recover_stop(turn);
}

struct turn *turn_join(struct gateway *gateway, struct room *room, const char *id, const char *connection)
{
    struct turn *turn = make_turn(gateway, id, connection);
    turn->uncounted = true;
    take_off(turn);
    room_add_turn(room, turn);
    return turn;
}

static void count_end(const struct turn *turn)
{
    const struct gateway_metrics *metrics = &turn->gateway->metrics;
    enum answer_end end = turn->answer.end;
    metric_add(end == ANSWER_COMPLETED ? metrics->completed
               : end == ANSWER_FAILED  ? metrics->failed
                                       : metrics->cancelled,
               1);
    metric_observe(metrics->turn_seconds, (double)(clock_monotonic_ms() - turn->asked_ms) / 1000);
}

/* ---- Followers */

static struct follower *add_follower(struct turn *turn, struct connection *connection)
{
    struct follower *follower = mem_alloc(sizeof *follower);
    follower->answer = &turn->answer;
    follower->request = connection == turn->asker || !turn->room ? &turn->request : room_request(turn->room);
    follower->turn = turn;
    follower->connection = connection;
    follower->next_of_turn = turn->followers;
    turn->followers = follower;
    outbox_follow(&connection->outbox, follower);
    return follower;
}

void turn_follow(struct turn *turn, struct connection *connection)
{
    add_follower(turn, connection);
    connection_wake(connection);
}

/* The earlier connection, if it is still here, has not asked for it any more. */
static void change_asker(struct turn *turn, struct connection *connection)
{
    struct connection *before = turn->asker;
    turn->asker = connection;
    connection->running++;
    if (before)
        connection_answer_ended(before);
}

static struct turn *begin_again(struct connection *connection, const struct turn_past *past,
                                struct dialect_request *request)
{
    struct turn *turn = make_turn(connection->gateway, past->id, connection->client.id);
    turn->request = *request;
    *request = (struct dialect_request){0};
    turn->uncounted = true;
    take_off(turn);
    turn_accepted(turn, past->start_within_ms);
    return turn;
}

void turn_resume(struct connection *connection, struct dialect_request *request, const struct turn_past *past)
{
    struct turn *turn = turn_find(connection->gateway, past->id);
    if (!turn)
        turn = begin_again(connection, past, request);
    turn->aged = past->aged;
    snprintf(turn->conversation, sizeof turn->conversation, "%s", past->conversation);
    if (!turn->cancel)
        change_asker(turn, connection);
    struct follower *follower = add_follower(turn, connection);
    follower->taken_up_told = true;
    follower->started_told = past->from > 0;
    follower->from = turn->request.text == DIALECT_WHOLE ? 0 : past->from;
    outbox_catch_up(follower);
    recover_start(turn);
    connection_wake(connection);
}

/* Takes it off the turn's list, and frees it. */
static void release(struct follower **follower)
{
    struct follower **at = &(*follower)->turn->followers;
    while (*at != *follower)
        at = &(*at)->next_of_turn;
    *at = (*follower)->next_of_turn;
    free(*follower);
    *follower = NULL;
}

void turn_unfollow(struct follower **follower)
{
    struct turn *turn = (*follower)->turn;
    release(follower);
    if (!turn->followers && !turn->cancel)
        turn_forget(&turn);
}

/* ---- The end */

void turn_forget(struct turn **turn)
{
    struct turn *t = *turn;
    *turn = NULL;
    while (t->followers) {
        struct follower *follower = t->followers;
        outbox_unfollow(&follower->connection->outbox, follower);
        release(&follower);
    }
    if (is_in_flight(t))
        land(t);
    withdraw_forget(&t->withdrawal);
    budget_release(&t->gateway->service->budget, &t->held);
    answer_deinit(&t->answer);
    dialect_request_deinit(&t->request);
    free(t);
}

static void finish(struct turn *turn)
{
    struct connection *asker = turn->asker;
    room_end_turn(turn);
    land(turn);
    if (turn->cancel) {
        cancel_settle(turn);
        return;
    }
    if (!turn->uncounted)
        count_end(turn);
    if (asker)
        connection_answer_ended(asker);
}

void turn_noted(struct turn *turn)
{
    struct connection *asker = turn->asker;
    if (turn->cancel) {
        cancel_settle(turn);
        return;
    }
    turn_forget(&turn);
    if (!asker)
        return;
    struct dialect_occasion occasion = connection_occasion(DIALECT_NOTED);
    connection_tell(asker, &occasion);
    connection_answer_ended(asker);
}

void turn_cancelled(struct turn *turn)
{
    answer_finish_here(&turn->answer, ANSWER_CANCELLED);
    turn_changed(turn);
}

void turn_changed(struct turn *turn)
{
    for (struct follower *follower = turn->followers; follower; follower = follower->next_of_turn) {
        outbox_catch_up(follower);
        connection_wake(follower->connection);
    }
    if (is_in_flight(turn) && answer_ended(&turn->answer))
        finish(turn);
}

void turn_fail(struct turn *turn, const char *reason)
{
    log_warning("answer failed", LOG_TEXT("connection", turn->connection), LOG_TEXT("turn", turn->id),
                LOG_TRACE(&turn->trace), LOG_INT("attempt", turn->answer.attempt), LOG_TEXT("error", reason));
    turn->answer.end = ANSWER_OPEN; /* an end that was told, but can't be reached */
    answer_set_reason(&turn->answer, reason, strlen(reason));
    answer_finish_here(&turn->answer, ANSWER_FAILED);
    turn_changed(turn);
}

/* The same, and whoever might run it or start it is told not to: unless it is somebody's elsewhere. */
static void abandon(struct turn *turn, const char *reason)
{
    if (turn->asker)
        withdraw_start(turn->gateway, turn->id, NULL, NULL);
    turn_fail(turn, reason);
}

/* ---- Life */

void turn_ask(struct turn *turn)
{
    take_off(turn);
    if (turn->request.in_room && turn->asker->room)
        room_add_turn(turn->asker->room, turn);
    turn_follow(turn, turn->asker);
    if (gateway_draining(turn->gateway)) {
        turn_fail(turn, GATEWAY_CLOSING);
        return;
    }
    int err = uplink_ask(turn);
    if (!err && !turn->room)
        session_asked(turn->asker, turn);
    dialect_request_forget_question(&turn->request);
    budget_release(&turn->gateway->service->budget, &turn->held);
    if (err)
        turn_fail(turn, err == ERR_TOO_LARGE ? "the question is too large" : GATEWAY_UNAVAILABLE);
}

void turn_heard(struct turn *turn)
{
    turn->heard_ms = turn->inquired_ms = clock_monotonic_ms();
    turn_move_on(turn);
}

void turn_reconnected(struct turn *turn)
{
    turn->heard_ms = turn->inquired_ms = clock_monotonic_ms();
    recover_start(turn);
}

void turn_move_on(struct turn *turn)
{
    if (!turn->answer.started || turn->phase >= TURN_STARTED)
        return;
    turn->phase = TURN_STARTED;
    if (turn->room)
        room_follow(turn);
}

void turn_accepted(struct turn *turn, int64_t start_within_ms)
{
    if (turn->phase != TURN_ASKED)
        return;
    int64_t within_ms = start_within_ms < START_WITHIN_MAX_MS ? start_within_ms : START_WITHIN_MAX_MS;
    turn->phase = TURN_ACCEPTED;
    turn->give_up_ms = clock_monotonic_ms() + within_ms + START_GRACE_MS;
    if (turn->asker)
        session_accepted(turn->asker, turn, within_ms);
}

/* Whether all answers together still are not too much, or this one has ended anyway. */
static bool has_room(struct turn *turn)
{
    size_t bytes = turn->answer.text.cap + turn->answer.step_bytes;
    return budget_grow(&turn->gateway->service->budget, &turn->held, bytes) || answer_ended(&turn->answer);
}

static void count_repair(struct turn *turn)
{
    if (!turn->has_gap || answer_has_gap(&turn->answer))
        return;
    turn->has_gap = false;
    metric_add(turn->gateway->metrics.gaps_repaired, 1);
}

void turn_take_news(struct turn *turn, enum answer_news news)
{
    if (turn->cancel && !turn->followers) { /* nobody reads it: only its end counts, whatever was lost before */
        if (turn->answer.end != ANSWER_OPEN)
            cancel_settle(turn);
        return;
    }
    switch (news) {
    case ANSWER_KNOWN:
        break;
    case ANSWER_NEW:
        count_repair(turn);
        if (has_room(turn))
            turn_changed(turn);
        else
            abandon(turn, "too many answers are under way here, please try again later");
        break;
    case ANSWER_GAP:
        turn->has_gap = answer_has_gap(&turn->answer);
        recover_start(turn);
        break;
    case ANSWER_BROKEN:
        abandon(turn, "the answer could not be continued");
        break;
    case ANSWER_TOO_LARGE:
        abandon(turn, "the answer is too long");
        break;
    }
}

static bool is_lost(const struct turn *turn, int64_t now_ms)
{
    return turn->phase == TURN_STARTED && now_ms - turn->heard_ms >= turn->gateway->settings->turn_lost_timeout_ms;
}

void turn_tick(struct turn *turn, int64_t now_ms)
{
    if (!gateway_reachable(turn->gateway))
        turn->heard_ms = now_ms; /* nobody is lost by saying nothing while we could not hear */
    if (turn->cancel) {
        if (now_ms >= turn->give_up_ms)
            cancel_settle(turn);
    } else if (turn->phase == TURN_ASKED && now_ms >= turn->give_up_ms) {
        abandon(turn, GATEWAY_UNAVAILABLE);
    } else if (turn->phase == TURN_ACCEPTED && now_ms >= turn->give_up_ms) {
        abandon(turn, "nobody was free to answer in time, please try again");
    } else if (is_lost(turn, now_ms)) {
        abandon(turn, "the answer was interrupted and nobody went on with it");
    } else if (turn->phase != TURN_ASKED && now_ms - turn->inquired_ms >= turn->gateway->settings->turn_silence_ms) {
        turn->inquired_ms = now_ms;
        recover_start(turn);
    }
}
