#include "call.h"

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "subjects.h"
#include "tool.pb-c.h"
#include "uplink.h"

#include <stdlib.h>
#include <string.h>

/* A router answers by the deadline even where the tool doesn't; its answer needs this long to come. */
#define REPLY_GRACE_MS 1000

static struct dialect_occasion occasion_of(const struct dialect_request *request, enum dialect_occasion_kind kind)
{
    struct dialect_occasion occasion = connection_occasion(kind);
    occasion.request = request;
    occasion.tool = (struct dialect_span){request->tool, request->tool_len};
    return occasion;
}

static void tell_failure(struct connection *connection, const struct dialect_request *request, const char *reason)
{
    struct dialect_occasion occasion = occasion_of(request, DIALECT_TOOL_FAILED);
    occasion.reason = (struct dialect_span){reason, strlen(reason)};
    connection_tell(connection, &occasion);
}

static void tell_result(struct connection *connection, const struct dialect_request *request,
                        const Parley__ToolResult *result)
{
    struct dialect_span said = {(const char *)result->result.data, result->result.len};
    if (said.len == 0)
        said.data = "";
    struct dialect_occasion occasion = occasion_of(request, DIALECT_TOOL_FAILED);
    if (result->status == PARLEY__TOOL_STATUS__TOOL_STATUS_OK) {
        occasion.kind = DIALECT_TOOL_RESULT;
        occasion.data = said;
    } else if (result->status == PARLEY__TOOL_STATUS__TOOL_STATUS_NOT_FOUND) {
        occasion.kind = DIALECT_TOOL_NOT_FOUND;
    } else {
        occasion.reason = said;
    }
    connection_tell(connection, &occasion);
}

static void free_call(struct call *call)
{
    chain_remove(&call->link);
    dialect_request_deinit(&call->request);
    free(call);
}

static void on_result(void *arg, int err, const struct bus_message *reply)
{
    struct call *call = arg;
    struct connection *connection = call->connection;
    struct gateway *gateway = connection->gateway;
    Parley__ToolResult *result = NULL;
    if (!err)
        err = wire_unpack(gateway->arena, &parley__tool_result__descriptor, reply->data, reply->len, &result);
    if (!err)
        tell_result(connection, &call->request, result);
    else
        tell_failure(connection, &call->request, err == ERR_TIMEOUT ? "the tool took too long" : GATEWAY_UNAVAILABLE);
    if (err)
        log_warning("tool call failed", LOG_TEXT("connection", connection->client.id), LOG_TEXT("call", call->id),
                    LOG_TRACE(&call->trace), LOG_ERR(err));
    free_call(call);
    gateway_check_drained(gateway);
}

static int send_call(struct call *call)
{
    struct gateway *gateway = call->connection->gateway;
    int64_t timeout_ms = gateway->settings->tool_call_timeout_ms;
    struct buf packed = {0};
    uplink_pack_call(call, &call->request, clock_wall_ms() + timeout_ms, &packed);
    return gateway_request(gateway, SUBJECT_COMMAND_CALL_TOOL, &call->trace, &packed, timeout_ms + REPLY_GRACE_MS,
                           on_result, call, &call->waiting);
}

/* Why it can't be called now; NULL: it can. */
static const char *objection(const struct connection *connection)
{
    if (gateway_draining(connection->gateway))
        return GATEWAY_CLOSING;
    if (chain_count(connection->calls) >= (size_t)connection->gateway->settings->max_questions)
        return "too many tool calls are running on this connection";
    return NULL;
}

static struct call *new_call(struct connection *connection, const char *id, struct dialect_request *request)
{
    struct call *call = mem_alloc(sizeof *call);
    call->connection = connection;
    memcpy(call->id, id, sizeof call->id);
    call->trace = connection_trace(connection);
    call->request = *request;
    *request = (struct dialect_request){0};
    return call;
}

void call_start(struct connection *connection, const char *id, struct dialect_request *request)
{
    const char *reason = objection(connection);
    if (reason) {
        tell_failure(connection, request, reason);
        return;
    }
    if (!id_is_token(request->tool, request->tool_len)) { /* no tool can have this name */
        struct dialect_occasion occasion = occasion_of(request, DIALECT_TOOL_NOT_FOUND);
        connection_tell(connection, &occasion);
        return;
    }
    struct call *call = new_call(connection, id, request);
    int err = send_call(call);
    if (err) {
        tell_failure(connection, &call->request, err == ERR_TOO_LARGE ? "params are too large" : GATEWAY_UNAVAILABLE);
        free_call(call);
        return;
    }
    buf_deinit(&call->request.arguments); /* on their way */
    chain_add(&connection->calls, &call->link);
}

void call_stop_all(struct connection *connection)
{
    while (connection->calls) {
        struct call *call = OWNER_OF(connection->calls, struct call, link);
        bus_request_cancel(&call->waiting);
        uplink_cancel_call(connection->gateway, call->id);
        free_call(call);
    }
}
