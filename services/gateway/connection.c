#include "connection_internal.h"

#include "authentication.h"
#include "call.h"
#include "cancel.h"
#include "clock.h"
#include "contact_request.h"
#include "join.h"
#include "log.h"
#include "mem.h"
#include "questions.h"
#include "rooms.h"
#include "session.h"
#include "status_request.h"
#include "turn.h"

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
    connection->idle_since_ms = connection->pinged_ms = clock_monotonic_ms();
    const struct allowance_rate rate = {gateway->settings->rate_limit, gateway->settings->rate_burst};
    allowance_init(&connection->allowance, &rate, connection->idle_since_ms);
    id_uuid(connection->client.id);
    link_connection(connection);
    return connection;
}

/* The dialect greets it. Where it may see what goes on in its room, it does so from now on, or once it has joined. */
static void greet(struct connection *connection, const struct web_head *head)
{
    char fresh_id[ID_SIZE];
    id_uuid(fresh_id);
    struct dialect_context context = connection_context(connection, fresh_id);
    context.argument = head_argument;
    context.address = head;
    struct dialect_request request = {0};
    connection->dialect->open(&connection->client, &context, head->path, &request, &connection->gateway->scratch);
    if (!connection->dialect->user_of || authentication_done(connection))
        room_join(connection);
    connection_carry_out(connection, fresh_id, &request);
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
              LOG_TEXT("reason", c->reason), LOG_TRACE(&c->trace));
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

/* ---- As time goes by */

void connection_ping(struct connection *connection)
{
    connection->ping_again = connection->pong_awaited;
    if (connection->pong_awaited)
        return;
    connection->pinged_ms = clock_monotonic_ms();
    connection->pong_awaited = true;
    web_socket_ping(connection->socket);
}

void connection_ponged(struct connection *connection)
{
    connection->pong_awaited = false;
    if (connection->doomed)
        return;
    if (connection->ping_again)
        connection_ping(connection);
    else
        session_ponged(connection);
}

static int64_t ping_interval_ms(const struct connection *connection)
{
    int64_t own = connection->dialect->ping_interval_s;
    return (own > 0 ? own : connection->gateway->settings->heartbeat_interval_s) * 1000;
}

/* An answer that it waits for is no silence of the client's. */
static bool waits(const struct connection *connection)
{
    return connection->outbox.followers || connection->waiting || connection->calls || connection->cancel;
}

static bool is_idle(const struct connection *connection, int64_t now_ms)
{
    int64_t timeout_ms = connection->gateway->settings->connection_timeout_s * 1000;
    return connection->dialect->times_out && !connection->ending && now_ms - connection->idle_since_ms >= timeout_ms;
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
    if (waits(connection))
        connection->idle_since_ms = now_ms;
    else if (is_idle(connection, now_ms))
        end_idle(connection);
    if (now_ms - connection->pinged_ms < ping_interval_ms(connection))
        return;
    if (connection->pong_awaited)
        connection_close(connection, CLOSE_GOING_AWAY, "no pong in time");
    else
        connection_ping(connection);
}
