#include "connection.h"

#include "authentication.h"
#include "call.h"
#include "cancel.h"
#include "clock.h"
#include "contact_request.h"
#include "held.h"
#include "join.h"
#include "log.h"
#include "mem.h"
#include "questions.h"
#include "rooms.h"
#include "session.h"
#include "status_request.h"
#include "turn.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

/* ---- Opening and closing */

static void link_connection(struct connection *connection)
{
    struct gateway *gateway = connection->gateway;
    chain_add(&gateway->connections, &connection->link);
    gateway->connection_count++;
    connection->mine->counts.active++;
    connection->mine->counts.total++;
    metric_set(connection->mine->connections, (double)connection->mine->counts.active);
    metric_add(connection->mine->connections_total, 1);
}

static void unlink_connection(struct connection *connection)
{
    chain_remove(&connection->link);
    connection->gateway->connection_count--;
    connection->mine->counts.active--;
    metric_set(connection->mine->connections, (double)connection->mine->counts.active);
}

static struct gateway_dialect *find_dialect(struct gateway *gateway, const struct dialect *dialect)
{
    size_t i = 0;
    while (dialects[i] != dialect)
        i++;
    return &gateway->dialects[i];
}

static struct dialect_context make_context(struct connection *connection, const char *fresh_id)
{
    double now = clock_wall_seconds();
    struct dialect_counts *counts = &connection->mine->counts;
    counts->max_connections = (uint64_t)connection->gateway->settings->max_connections;
    counts->uptime_seconds = now - connection->gateway->started_at;
    return (struct dialect_context){
        .now = now, .counts = counts, .fresh_id = fresh_id, .apology = connection->gateway->settings->contact_apology};
}

/* What the dialect has answered goes out, and what it was asked for is done. */
static void carry_out(struct connection *connection, const char *fresh_id, struct dialect_request *request)
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

static const char *head_argument(const void *address, const char *name)
{
    return web_head_argument(address, name);
}

static struct connection *make_connection(struct gateway *gateway, struct web_socket *socket,
                                          const struct dialect *dialect)
{
    struct connection *connection = mem_alloc(sizeof *connection);
    connection->gateway = gateway;
    connection->socket = socket;
    connection->dialect = dialect;
    connection->mine = find_dialect(gateway, dialect);
    connection->connected_at = connection->received_at = clock_wall_seconds();
    connection->received_ms = connection->pinged_ms = clock_monotonic_ms();
    const struct allowance_rate rate = {gateway->settings->rate_limit, gateway->settings->rate_burst};
    allowance_init(&connection->allowance, &rate, connection->received_ms);
    id_uuid(connection->client.id);
    link_connection(connection);
    return connection;
}

/* The dialect greets it. Where it may see what goes on in its room, it does so from now on, or once it has joined. */
static void greet(struct connection *connection, const struct web_head *head)
{
    char fresh_id[ID_SIZE];
    id_uuid(fresh_id);
    struct dialect_context context = make_context(connection, fresh_id);
    context.argument = head_argument;
    context.address = head;
    struct dialect_request request = {0};
    connection->dialect->open(&connection->client, &context, head->path, &request, &connection->gateway->scratch);
    if (!connection->dialect->user_of || authentication_done(connection))
        room_join(connection);
    carry_out(connection, fresh_id, &request);
    if (!connection->join)
        room_catch_up(connection);
    dialect_request_deinit(&request);
}

struct connection *connection_open(struct gateway *gateway, struct web_socket *socket, const struct dialect *dialect,
                                   const struct web_head *head)
{
    struct connection *connection = make_connection(gateway, socket, dialect);
    authentication_admit(connection, head);
    (void)trace_parse(&connection->trace, web_head_header(head, TRACE_HEADER));
    const char *extended = web_head_argument(head, "parley");
    connection->client.extended = extended && strcmp(extended, "1") == 0;
    log_debug("connection opened", LOG_TEXT("connection", connection->client.id), LOG_TEXT("protocol", dialect->name),
              LOG_TEXT("peer", head->peer), LOG_TRACE(&connection->trace));
    greet(connection, head);
    session_open(connection, head);
    return connection;
}

struct trace connection_trace(const struct connection *connection)
{
    struct trace trace = connection->trace;
    if (!trace_is_set(&trace))
        trace_take(&trace, NULL);
    return trace;
}

/* Its turns go on without it. */
static void leave_answers(struct connection *connection)
{
    while (connection->outbox.followers) {
        struct follower *follower = connection->outbox.followers;
        if (follower->turn->asker == connection)
            follower->turn->asker = NULL;
        outbox_unfollow(&connection->outbox, follower);
        turn_unfollow(&follower);
    }
}

void connection_leave(struct connection *connection)
{
    questions_drop(connection);
    leave_answers(connection);
    cancel_forget(connection);
    call_stop_all(connection);
    join_stop(connection);
    session_close(connection);
    contact_request_stop_all(connection);
    status_request_stop(connection);
}

void connection_enter(struct connection *connection)
{
    room_join(connection);
    room_catch_up(connection);
}

/* Of all that is kept for it. */
static void let_go(struct connection *connection)
{
    connection_leave(connection);
    room_leave(connection);
    outbox_deinit(&connection->outbox);
}

void connection_free(struct connection **connection)
{
    struct connection *c = *connection;
    struct gateway *gateway = c->gateway;
    *connection = NULL;
    log_debug("connection closed", LOG_TEXT("connection", c->client.id), LOG_TEXT("protocol", c->dialect->name),
              LOG_TEXT("reason", c->reason));
    let_go(c);
    unlink_connection(c);
    dialect_client_deinit(&c->client);
    free(c->credential);
    free(c);
    gateway_check_drained(gateway);
}

void connection_close(struct connection *connection, uint16_t code, const char *reason)
{
    if (connection->doomed)
        return;
    connection->doomed = true;
    connection->code = code;
    connection->reason = reason;
    web_socket_close(connection->socket, code, reason, (int)connection->gateway->settings->close_timeout_s);
}

/* ---- Coming in */

void connection_receive(struct connection *connection, const char *bytes, size_t len, bool binary)
{
    if (connection->doomed || connection->ending)
        return;
    connection->received_ms = clock_monotonic_ms();
    connection->received_at = clock_wall_seconds();
    if (connection->held) {
        held_add(connection, bytes, len, binary);
        return;
    }
    if (!passes(connection, len, NULL))
        return;
    char fresh_id[ID_SIZE];
    id_uuid(fresh_id);
    struct dialect_context context = make_context(connection, fresh_id);
    struct dialect_request request = {0};
    connection->dialect->decode(&connection->client, &context, bytes, len, binary, &request,
                                &connection->gateway->scratch);
    request.bytes = len;
    if (passes(connection, len, &request))
        carry_out(connection, fresh_id, &request);
    dialect_request_deinit(&request);
}

void connection_answer_ended(struct connection *connection)
{
    connection->running--;
    questions_take_up(connection);
}

/* ---- Going out */

void connection_wake(struct connection *connection)
{
    if (connection->doomed)
        return;
    struct gateway *gateway = connection->gateway;
    if (outbox_lag(&connection->outbox) > (size_t)gateway->settings->max_lag_bytes) {
        log_info("a client that is too slow is closed", LOG_TEXT("connection", connection->client.id),
                 LOG_INT("lag_bytes", outbox_lag(&connection->outbox)));
        metric_add(gateway->metrics.slow_clients_closed, 1);
        connection_close(connection, CLOSE_POLICY, "too slow");
    } else if (outbox_ready(&connection->outbox, connection->dialect->serial)) {
        web_socket_want_write(connection->socket);
    } else if (connection->ending) {
        connection_close(connection, connection->code, connection->reason);
    }
}

void connection_tell(struct connection *connection, struct dialect_occasion *occasion)
{
    struct gateway *gateway = connection->gateway;
    if (connection->doomed)
        return;
    occasion->now = clock_wall_seconds();
    connection->dialect->encode(&connection->client, occasion, &gateway->scratch);
    outbox_push(&connection->outbox, &gateway->scratch);
    connection_wake(connection);
}

struct dialect_occasion connection_occasion(enum dialect_occasion_kind kind)
{
    const struct dialect_span none = {"", 0};
    return (struct dialect_occasion){
        .kind = kind,
        .text = none,
        .all = none,
        .tool = none,
        .call = none,
        .data = none,
        .reason = none,
        .apology = none,
        .vendor = "",
        .model = "",
        .id = "",
        .connection = "",
    };
}

void connection_tell_reason(struct connection *connection, enum dialect_occasion_kind kind,
                            const struct dialect_request *request, const void *reason, size_t len)
{
    struct dialect_occasion occasion = connection_occasion(kind);
    struct buf repaired = {0};
    utf8_append_repaired(&repaired, reason, len);
    occasion.request = request;
    if (repaired.len > 0)
        occasion.reason = (struct dialect_span){repaired.data, repaired.len};
    connection_tell(connection, &occasion);
    buf_deinit(&repaired);
}

void connection_end(struct connection *connection, const char *reason)
{
    connection->ending = true;
    connection->code = CLOSE_NORMAL;
    connection->reason = reason;
    connection_wake(connection);
}

static void send_frame(struct connection *connection, const struct buf *frame)
{
    if (web_socket_send(connection->socket, frame) != ERR_NONE)
        return; /* going away: closed will follow */
    connection->frames_sent++;
    connection->mine->counts.frames_sent++;
    metric_add(connection->gateway->metrics.frames_sent, 1);
}

void connection_write(struct connection *connection)
{
    if (connection->doomed)
        return;
    struct gateway *gateway = connection->gateway;
    const struct outbox_reader reader = {
        .dialect = connection->dialect,
        .client = &connection->client,
        .scratch = &gateway->scratch,
        .now = clock_wall_seconds(),
    };
    struct follower *ended = NULL;
    if (outbox_next(&connection->outbox, &reader, &gateway->frame, &ended))
        send_frame(connection, &gateway->frame);
    if (ended) {
        turn_unfollow(&ended);
        session_told_end(connection);
    }
    connection_wake(connection);
    gateway_check_drained(gateway);
}

/* ---- As time goes by */

void connection_ponged(struct connection *connection)
{
    connection->pong_awaited = false;
    if (!connection->doomed)
        session_ponged(connection);
}

static int64_t ping_interval_ms(const struct connection *connection)
{
    int64_t own = connection->dialect->ping_interval_s;
    return (own > 0 ? own : connection->gateway->settings->heartbeat_interval_s) * 1000;
}

/* An answer that it waits for is no silence of the client's. */
static bool is_idle(const struct connection *connection, int64_t now_ms)
{
    int64_t timeout_ms = connection->gateway->settings->connection_timeout_s * 1000;
    bool waits = connection->outbox.followers || connection->waiting || connection->calls || connection->cancel;
    return connection->dialect->times_out && !connection->ending && !waits &&
           now_ms - connection->received_ms >= timeout_ms;
}

static void end_idle(struct connection *connection)
{
    struct dialect_occasion occasion = connection_occasion(DIALECT_IDLE);
    connection_tell(connection, &occasion);
    connection_end(connection, "idle for too long");
}

void connection_beat(struct connection *connection, int64_t now_ms)
{
    if (connection->doomed) {
        let_go(connection); /* it may take its time to read why */
        return;
    }
    if (is_idle(connection, now_ms))
        end_idle(connection);
    if (now_ms - connection->pinged_ms < ping_interval_ms(connection))
        return;
    if (connection->pong_awaited) {
        connection_close(connection, CLOSE_GOING_AWAY, "no pong in time");
        return;
    }
    connection->pinged_ms = now_ms;
    connection->pong_awaited = true;
    web_socket_ping(connection->socket);
}
