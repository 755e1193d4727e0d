#include "join.h"

#include "bus.h"
#include "command.pb-c.h"
#include "log.h"
#include "mem.h"
#include "subjects.h"
#include "uplink.h"

#include <stdlib.h>
#include <string.h>

/* What a held message takes besides its bytes. */
#define HELD_COST 64

struct held {
    struct held *next;
    struct buf bytes;
    bool binary;
};

struct join {
    struct connection *connection;
    struct bus_request *asking;
    struct held *held, **held_end;
    size_t held_bytes;
};

static void free_held(struct held *held)
{
    for (struct held *next; held; held = next) {
        next = held->next;
        buf_deinit(&held->bytes);
        free(held);
    }
}

void join_stop(struct connection *connection)
{
    struct join *join = connection->join;
    if (!join)
        return;
    connection->join = NULL;
    bus_request_cancel(&join->asking);
    free_held(join->held);
    free(join);
}

void join_hold(struct connection *connection, const char *bytes, size_t len, bool binary)
{
    struct join *join = connection->join;
    size_t most = (size_t)connection->gateway->settings->message_size_limit + HELD_COST;
    if (join->held_bytes + len + HELD_COST > most) {
        connection_close(connection, CLOSE_POLICY, "too much was sent before the greeting");
        return;
    }
    struct held *held = mem_alloc(sizeof *held);
    buf_append(&held->bytes, bytes, len);
    held->binary = binary;
    join->held_bytes += len + HELD_COST;
    *join->held_end = held;
    join->held_end = &held->next;
}

/* ---- The answer */

static void refuse(struct connection *connection, enum dialect_occasion_kind kind, const void *reason, size_t len)
{
    join_stop(connection);
    connection_tell_reason(connection, kind, NULL, reason, len);
    connection_end(connection, "");
}

static char *copy_name(const ProtobufCBinaryData *name)
{
    return name->len > 0 ? mem_strndup((const char *)name->data, name->len) : NULL;
}

static void come_in(struct connection *connection, const Parley__Done *pipeline)
{
    struct held *list = connection->join->held;
    connection->join->held = NULL;
    join_stop(connection);
    connection->client.group_trigger = copy_name(&pipeline->group_trigger);
    connection->client.group_mention = copy_name(&pipeline->group_mention);
    struct dialect_occasion occasion = connection_occasion(DIALECT_JOINED);
    connection_tell(connection, &occasion);
    connection_enter(connection);
    for (struct held *held = list; held; held = held->next)
        connection_receive(connection, held->bytes.data ? held->bytes.data : "", held->bytes.len, held->binary);
    free_held(list);
}

static void on_found(void *arg, int err, const struct bus_message *reply)
{
    struct connection *connection = ((struct join *)arg)->connection;
    Parley__Done *done = NULL;
    if (!err)
        err = wire_unpack(connection->gateway->arena, &parley__done__descriptor, reply->data, reply->len, &done);
    if (err) {
        log_warning("a pipeline could not be asked for", LOG_TEXT("connection", connection->client.id), LOG_ERR(err));
        refuse(connection, DIALECT_JOIN_FAILED, GATEWAY_UNAVAILABLE, strlen(GATEWAY_UNAVAILABLE));
    } else if (done->no_pipeline) {
        refuse(connection, DIALECT_NO_PIPELINE, "", 0);
    } else if (done->failure.len > 0) {
        refuse(connection, DIALECT_JOIN_FAILED, done->failure.data, done->failure.len);
    } else {
        come_in(connection, done);
    }
}

void join_start(struct connection *connection, const char *pipeline)
{
    struct gateway *gateway = connection->gateway;
    struct join *join = mem_alloc(sizeof *join);
    join->connection = connection;
    join->held_end = &join->held;
    connection->join = join;
    struct buf packed = {0};
    uplink_pack_find_pipeline(pipeline, &packed);
    int err = gateway_reachable(gateway)
                  ? bus_request(gateway->service->bus, SUBJECT_COMMAND_FIND_PIPELINE, NULL, &packed,
                                gateway->settings->command_timeout_ms, on_found, join, &join->asking)
                  : ERR_DISCONNECTED;
    buf_deinit(&packed);
    if (err)
        refuse(connection, DIALECT_JOIN_FAILED, GATEWAY_UNAVAILABLE, strlen(GATEWAY_UNAVAILABLE));
}
