#include "join.h"

#include "bus.h"
#include "command.pb-c.h"
#include "held.h"
#include "log.h"
#include "mem.h"
#include "subjects.h"
#include "uplink.h"

#include <stdlib.h>
#include <string.h>

struct join {
    struct connection *connection;
    struct trace trace;
    struct bus_request *asking;
};

void join_stop(struct connection *connection)
{
    struct join *join = connection->join;
    if (!join)
        return;
    connection->join = NULL;
    bus_request_cancel(&join->asking);
    held_drop(connection);
    free(join);
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
    free(connection->join);
    connection->join = NULL;
    connection->client.group_trigger = copy_name(&pipeline->group_trigger);
    connection->client.group_mention = copy_name(&pipeline->group_mention);
    struct dialect_occasion occasion = connection_occasion(DIALECT_JOINED);
    connection_tell(connection, &occasion);
    connection_enter(connection);
    held_end(connection);
}

static void on_found(void *arg, int err, const struct bus_message *reply)
{
    const struct join *join = arg;
    struct connection *connection = join->connection;
    Parley__Done *done = NULL;
    if (!err)
        err = wire_unpack(connection->gateway->arena, &parley__done__descriptor, reply->data, reply->len, &done);
    if (err) {
        log_warning("a pipeline could not be asked for", LOG_TEXT("connection", connection->client.id),
                    LOG_TRACE(&join->trace), LOG_ERR(err));
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
    join->trace = connection_trace(connection);
    connection->join = join;
    held_begin(connection);
    struct buf packed = {0};
    uplink_pack_find_pipeline(pipeline, &packed);
    int err = gateway_request(gateway, SUBJECT_COMMAND_FIND_PIPELINE, &join->trace, &packed,
                              gateway->settings->command_timeout_ms, on_found, join, &join->asking);
    if (err)
        refuse(connection, DIALECT_JOIN_FAILED, GATEWAY_UNAVAILABLE, strlen(GATEWAY_UNAVAILABLE));
}
