#include "cancel.h"

#include "call.h"
#include "clock.h"
#include "mem.h"
#include "questions.h"
#include "rooms.h"
#include "session.h"
#include "turn.h"
#include "withdraw.h"

#include <stdlib.h>

struct cancel {
    struct connection *connection; /* NULL: gone */
    uint32_t asked;                /* to be answered, each by itself */
    uint32_t awaited;              /* turns */
};

static void answer_cancels(struct connection *connection, uint32_t count)
{
    while (count-- > 0) {
        struct dialect_occasion occasion = connection_occasion(DIALECT_CANCEL_DONE);
        connection_tell(connection, &occasion);
    }
}

static void finish(struct cancel *cancel)
{
    struct connection *connection = cancel->connection;
    uint32_t asked = cancel->asked;
    free(cancel);
    if (!connection)
        return;
    connection->cancel = NULL;
    answer_cancels(connection, asked);
    questions_take_up(connection);
}

void cancel_settle(struct turn *turn)
{
    struct cancel *cancel = turn->cancel;
    turn->cancel = NULL;
    withdraw_forget(&turn->withdrawal);
    metric_add(turn->gateway->metrics.cancelled, 1);
    turn->uncounted = true;
    if (!turn->followers) {
        room_end_turn(turn);
        turn_forget(&turn);
    }
    if (--cancel->awaited == 0)
        finish(cancel);
}

static void on_withdrawn(void *arg, enum withdraw_outcome outcome)
{
    struct turn *turn = arg;
    turn->withdrawal = NULL;
    if (outcome == WITHDRAW_SETTLED)
        turn_cancelled(turn);
    else if (outcome == WITHDRAW_KEPT)
        cancel_settle(turn); /* it will hold, and the client need not wait for that */
    /* else its end will come, or the time-out */
}

static void await(struct cancel *cancel, struct turn *turn)
{
    struct gateway *gateway = turn->gateway;
    turn->asker = NULL;
    turn->cancel = cancel;
    turn->give_up_ms = clock_monotonic_ms() + gateway->settings->cancel_timeout_ms;
    cancel->awaited++;
    turn->withdrawal = withdraw_start(gateway, turn->id, on_withdrawn, turn);
}

/* Stops all answers that the connection asked for; those of others that it follows are not its to cancel. */
static void stop_answers(struct connection *connection, struct cancel *cancel)
{
    for (struct follower *follower = connection->outbox.followers, *next; follower; follower = next) {
        next = follower->next;
        struct turn *turn = follower->turn;
        if (turn->asker != connection)
            continue;
        if (turn->phase != TURN_ENDED)
            await(cancel, turn);
        outbox_unfollow(&connection->outbox, follower);
        turn_unfollow(&follower);
    }
    connection->running = 0;
}

void cancel_ask(struct connection *connection)
{
    questions_drop(connection);
    call_stop_all(connection);
    struct cancel *cancel = connection->cancel;
    if (!cancel) {
        cancel = mem_alloc(sizeof *cancel);
        cancel->connection = connection;
    }
    cancel->asked++;
    connection->cancel = cancel;
    stop_answers(connection, cancel);
    session_cancelled(connection);
    if (cancel->awaited == 0)
        finish(cancel);
}

void cancel_forget(struct connection *connection)
{
    if (!connection->cancel)
        return;
    connection->cancel->connection = NULL; /* the last turn settled frees it */
    connection->cancel = NULL;
}
