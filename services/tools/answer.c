#include "answer.h"

#include "log.h"
#include "wire.h"

#include <string.h>

void answer_send(struct service *service, const char *reply, const struct trace *trace,
                 const Parley__ToolResult *result)
{
    struct buf packed = {0};
    wire_pack(&result->base, &packed);
    int err = bus_publish(service->bus, reply, NULL, NULL, &packed);
    buf_deinit(&packed);
    if (err == ERR_TOO_LARGE && result->status == PARLEY__TOOL_STATUS__TOOL_STATUS_OK)
        answer_text(service, reply, trace, result->call, PARLEY__TOOL_STATUS__TOOL_STATUS_FAILED,
                    "the tool's result is too large for the message broker");
    else if (err)
        log_warning("a tool's result could not be sent", LOG_TEXT("call", result->call), LOG_TRACE(trace),
                    LOG_ERR(err));
}

void answer_text(struct service *service, const char *reply, const struct trace *trace, const char *call,
                 Parley__ToolStatus status, const char *text)
{
    Parley__ToolResult result = PARLEY__TOOL_RESULT__INIT;
    result.call = (char *)call;
    result.status = status;
    result.result.data = (uint8_t *)text;
    result.result.len = strlen(text);
    answer_send(service, reply, trace, &result);
}
