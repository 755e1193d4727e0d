#include "connection.h"

#include "clock.h"
#include "log.h"
#include "session.h"
#include "turn.h"
#include "utf8.h"

void connection_wake(struct connection *connection)
{
    if (connection->doomed)
        return;
    struct gateway *gateway = connection->gateway;
    if (outbox_lag(&connection->outbox) > (size_t)gateway->settings->max_lag_bytes) {
        log_warning("a client that is too slow is closed", LOG_TEXT("connection", connection->client.id),
                    LOG_TRACE(&connection->trace), LOG_INT("lag_bytes", outbox_lag(&connection->outbox)));
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
