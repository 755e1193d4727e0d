#include "connection_internal.h"

#include "call.h"
#include "cancel.h"
#include "clock.h"
#include "contact_request.h"
#include "held.h"
#include "join.h"
#include "middleware.h"
#include "questions.h"
#include "status_request.h"

#include <string.h>

struct dialect_context connection_context(struct connection *connection, const char *fresh_id)
{
    double now = clock_wall_seconds();
    struct dialect_counts *counts = &connection->mine->counts;
    counts->max_connections = (uint64_t)connection->gateway->settings->max_connections;
    counts->uptime_seconds = now - connection->gateway->started_at;
    return (struct dialect_context){
        .now = now, .counts = counts, .fresh_id = fresh_id, .apology = connection->gateway->settings->contact_apology};
}

void connection_carry_out(struct connection *connection, const char *fresh_id, struct dialect_request *request)
{
    outbox_push(&connection->outbox, &connection->gateway->scratch);
    switch (request->kind) {
    case DIALECT_NOTHING:
        break;
    case DIALECT_ASK:
        questions_add(connection, fresh_id, request);
        break;
    case DIALECT_CALL_TOOL:
        call_start(connection, fresh_id, request);
        break;
    case DIALECT_CANCEL:
        cancel_ask(connection);
        break;
    case DIALECT_CLOSE:
        connection_end(connection, "");
        break;
    case DIALECT_JOIN:
        join_start(connection, request->pipeline);
        break;
    case DIALECT_CONTACT:
        contact_request_start(connection, fresh_id, request);
        break;
    case DIALECT_GET_STATUS:
        status_request_start(connection);
        break;
    }
    connection_wake(connection);
}

/* Whether the middleware has to know of it. */
static bool asks_for_something(const struct dialect_request *request)
{
    return request->kind != DIALECT_NOTHING && request->kind != DIALECT_CANCEL && request->kind != DIALECT_CLOSE;
}

/* Whether a message may be read (`request` NULL: not yet), and what was read in it be done. Says so where not. */
static bool passes(struct connection *connection, size_t len, const struct dialect_request *request)
{
    struct visit visit = {
        .kind = request ? VISIT_REQUEST : VISIT_MESSAGE,
        .gateway = connection->gateway,
        .connection = connection,
        .len = len,
        .request = request,
    };
    if ((request && !asks_for_something(request)) || middleware_pass(&visit))
        return true;
    bool is_question = request && request->kind == DIALECT_ASK;
    frames_reset(&connection->gateway->scratch);
    connection_tell_reason(connection, is_question ? DIALECT_FAILED : DIALECT_REFUSED, request, visit.reason,
                           strlen(visit.reason));
    return false;
}

void connection_receive(struct connection *connection, const char *bytes, size_t len, bool binary)
{
    if (connection->doomed || connection->ending)
        return;
    connection->idle_since_ms = clock_monotonic_ms();
    connection->received_at = clock_wall_seconds();
    if (connection->held) {
        held_add(connection, bytes, len, binary);
        return;
    }
    if (!passes(connection, len, NULL))
        return;
    char fresh_id[ID_SIZE];
    id_uuid(fresh_id);
    struct dialect_context context = connection_context(connection, fresh_id);
    struct dialect_request request = {0};
    connection->dialect->decode(&connection->client, &context, bytes, len, binary, &request,
                                &connection->gateway->scratch);
    request.bytes = len;
    if (passes(connection, len, &request))
        connection_carry_out(connection, fresh_id, &request);
    dialect_request_deinit(&request);
}

void connection_answer_ended(struct connection *connection)
{
    connection->running--;
    questions_take_up(connection);
}
