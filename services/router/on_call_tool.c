/* CallTool: a tool call by the client itself, beside any answer.
 *
 *   subject   SUBJECT_COMMAND_CALL_TOOL, one router of the queue group
 *   from      a gateway
 *   answers   ToolResult: the tools service's own; NOT_FOUND for a name that no tool can have; FAILED where no tools
 *             service is there or none answers by the deadline
 *   late      past its deadline it is dropped without a word */
#include "clock.h"
#include "command.pb-c.h"
#include "id.h"
#include "log.h"
#include "router.h"
#include "subjects.h"
#include "tool.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CALL_ID_MAX_BYTES 128

struct client_call {
    struct command command; /* first */
    char id[CALL_ID_MAX_BYTES + 1];
};

static void reply_result(const struct command *command, const char *call, Parley__ToolStatus status, const char *text)
{
    Parley__ToolResult result = PARLEY__TOOL_RESULT__INIT;
    result.call = (char *)call;
    result.status = status;
    result.result = router_text(text);
    router_reply(command, &result.base);
}

static void reply_failed(const struct command *command, const char *call, const char *text)
{
    reply_result(command, call, PARLEY__TOOL_STATUS__TOOL_STATUS_FAILED, text);
}

static const char *reason_of(int err)
{
    switch (err) {
    case ERR_NO_RESPONDERS:
        return "no tool service is available";
    case ERR_TIMEOUT:
        return "the tool took too long";
    case ERR_TOO_LARGE:
        return "the arguments are too large";
    default:
        return err_text(err);
    }
}

static void on_result(void *arg, int err, const struct bus_message *result)
{
    struct client_call *call = arg;
    if (err) {
        reply_failed(&call->command, call->id, reason_of(err));
    } else {
        struct buf answer = {0};
        buf_append(&answer, result->data, result->len);
        router_reply_packed(&call->command, &answer);
    }
    router_end(&call->command);
}

static void pack_call(const Parley__CallTool *asked, int64_t deadline_ms, struct buf *out)
{
    Parley__ToolCall call = PARLEY__TOOL_CALL__INIT;
    call.call = asked->call;
    call.name = asked->name;
    call.arguments = asked->arguments;
    call.user = asked->user;
    call.credential = asked->credential;
    call.deadline_ms = deadline_ms;
    wire_pack(&call.base, out);
}

static void forward(const struct command *command, const Parley__CallTool *asked)
{
    const struct router *router = command->router;
    struct client_call *call = router_begin(command, sizeof *call);
    snprintf(call->id, sizeof call->id, "%s", asked->call);

    int64_t timeout_ms = router_time_left(asked->deadline_ms, router->settings->call_tool_timeout_ms);
    struct buf packed = {0};
    pack_call(asked, clock_wall_ms() + timeout_ms, &packed);
    char subject[SUBJECT_SIZE];
    snprintf(subject, sizeof subject, SUBJECT_TOOL, asked->name);
    struct trace_headers headers;
    log_debug("tool call passed on", LOG_TEXT("call", call->id), LOG_TEXT("connection", asked->connection),
              LOG_TRACE(&command->trace));
    int err = bus_request(router->service->bus, subject, trace_headers(&command->trace, &headers), &packed, timeout_ms,
                          on_result, call, NULL);
    if (err)
        on_result(call, err, NULL);
    buf_deinit(&packed);
}

void on_call_tool(void *arg, const struct bus_message *message)
{
    struct router *router = arg;
    struct command command;
    const Parley__CallTool *call = router_read(router, message, &parley__call_tool__descriptor, &command);
    if (!call || !call->call[0] || strlen(call->call) > CALL_ID_MAX_BYTES) {
        router_drop(&command, message);
        return;
    }
    if (router_too_late(call->deadline_ms)) {
        log_debug("a tool call past its deadline was dropped", LOG_TEXT("connection", call->connection),
                  LOG_TRACE(&command.trace));
        return;
    }
    metric_add(router->metrics.tool_calls, 1);
    if (!id_is_token_text(call->name))
        reply_result(&command, call->call, PARLEY__TOOL_STATUS__TOOL_STATUS_NOT_FOUND, "there is no tool of this name");
    else if (call->credential.len > (size_t)router->settings->credential_max_bytes)
        reply_failed(&command, call->call, "the credential is too long");
    else if (router_is_full(router))
        reply_failed(&command, call->call, ROUTER_FULL);
    else
        forward(&command, call);
}
