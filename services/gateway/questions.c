#include "questions.h"

#include "turn.h"

#include <string.h>

static bool is_free(const struct connection *connection)
{
    return !connection->cancel && !connection->doomed && (!connection->dialect->serial || connection->running == 0);
}

static bool is_full(const struct connection *connection)
{
    uint32_t count = connection->waiting_count + (connection->dialect->serial ? 0 : connection->running);
    return !(connection->waiting_count == 0 && connection->running == 0) &&
           count >= (uint64_t)connection->gateway->settings->max_questions;
}

/* Why it can't be taken; NULL: it can, and is counted as held. */
static const char *objection(const struct connection *connection, const struct dialect_request *request, size_t *held)
{
    if (gateway_draining(connection->gateway))
        return GATEWAY_CLOSING;
    if (is_full(connection))
        return "too many questions are waiting on this connection";
    if (!budget_hold(&connection->gateway->service->budget, held, request->bytes))
        return "too much is waiting here, please try again later";
    return NULL;
}

void questions_add(struct connection *connection, const char *id, struct dialect_request *request)
{
    size_t held = 0;
    const char *reason = objection(connection, request, &held);
    if (reason) {
        connection_tell_reason(connection, DIALECT_FAILED, request, reason, strlen(reason));
        return;
    }
    struct turn **end = &connection->waiting;
    while (*end)
        end = &(*end)->next_waiting;
    *end = turn_new(connection->gateway, connection, id, request);
    (*end)->held = held;
    connection->waiting_count++;
    questions_take_up(connection);
}

void questions_take_up(struct connection *connection)
{
    if (connection->taking_up)
        return; /* a question that failed at once has led back here */
    connection->taking_up = true;
    while (connection->waiting && is_free(connection)) {
        struct turn *turn = connection->waiting;
        connection->waiting = turn->next_waiting;
        connection->waiting_count--;
        connection->running++;
        turn_ask(turn);
    }
    connection->taking_up = false;
}

void questions_drop(struct connection *connection)
{
    while (connection->waiting) {
        struct turn *turn = connection->waiting;
        connection->waiting = turn->next_waiting;
        turn_forget(&turn);
    }
    connection->waiting_count = 0;
}
