/* ToolCall: run a tool.
 *
 *   subject   SUBJECT_TOOL, one process of the queue group
 *   from      an agent, for a model; a router, for a client
 *   answers   ToolResult: OK with JSON; NOT_FOUND for a tool that is not there; FAILED with a text for people and
 *             models: arguments that don't fit the tool's schema, a time-out, too much output, too busy, …
 *   late      past its deadline it is dropped without a word
 *   repeated  under way or within a minute of its end it is not run again (calls.h); in this process, that is: another
 *             one of the queue group does not know of it */
#include "answer.h"
#include "clock.h"
#include "json.h"
#include "log.h"
#include "schema.h"
#include "tools.h"

#include <stdio.h>
#include <string.h>

#define CALL_ID_MAX_BYTES    128
#define CREDENTIAL_MAX_BYTES 65536
#define REASON_SIZE          256

/* An environment variable holds no zero byte. */
static bool is_passable(const ProtobufCBinaryData *credential)
{
    return credential->len == 0 ||
           (credential->len <= CREDENTIAL_MAX_BYTES && !memchr(credential->data, 0, credential->len));
}

/* Parses and checks the arguments; on ERR_INVALID `reason` says what is wrong with the call. */
static int read_arguments(const struct tools *tools, const Parley__ToolCall *call, const struct registry_tool *tool,
                          json_t **arguments, char reason[REASON_SIZE])
{
    if (call->arguments.len > (size_t)tools->settings->max_arguments) {
        snprintf(reason, REASON_SIZE, "the arguments are larger than %lld bytes",
                 (long long)tools->settings->max_arguments);
        return ERR_INVALID;
    }
    if (!is_passable(&call->credential)) {
        snprintf(reason, REASON_SIZE, "the credential can't be passed on");
        return ERR_INVALID;
    }
    char detail[REASON_SIZE - 64];
    json_t *value;
    if (json_parse((const char *)call->arguments.data, call->arguments.len, detail, sizeof detail, &value)) {
        snprintf(reason, REASON_SIZE, "the arguments are not JSON: %s", detail);
        return ERR_INVALID;
    }
    int err = ERR_INVALID;
    if (!json_is_object(value))
        snprintf(reason, REASON_SIZE, "the arguments must be a JSON object");
    else
        err = schema_check(tool->schema, value, reason, REASON_SIZE);
    if (err)
        json_decref(value);
    else
        *arguments = value;
    return err;
}

void on_call(void *arg, const struct bus_message *message)
{
    struct tools *tools = arg;
    Parley__ToolCall *call;
    struct trace trace;
    trace_take(&trace, bus_message_header(message, TRACE_HEADER));
    int err = wire_unpack(tools->arena, &parley__tool_call__descriptor, message->data, message->len, &call);
    if (err || !message->reply || !call->call[0] || strlen(call->call) > CALL_ID_MAX_BYTES) {
        log_warning("a tool call that can't be read was dropped", LOG_TEXT("subject", message->subject),
                    LOG_TRACE(&trace));
        return;
    }
    if (call->deadline_ms > 0 && call->deadline_ms <= clock_wall_ms()) {
        log_debug("a tool call past its deadline was dropped", LOG_TEXT("call", call->call), LOG_TRACE(&trace));
        return;
    }
    const struct registry_tool *tool = registry_find(tools->registry, call->name);
    if (!tool) {
        metric_add(tools->not_found, 1);
        answer_text(tools->service, message->reply, &trace, call->call, PARLEY__TOOL_STATUS__TOOL_STATUS_NOT_FOUND,
                    "there is no tool of this name");
        return;
    }
    char reason[REASON_SIZE];
    json_t *arguments;
    if (read_arguments(tools, call, tool, &arguments, reason)) {
        metric_add(tool->metrics.failed, 1);
        answer_text(tools->service, message->reply, &trace, call->call, PARLEY__TOOL_STATUS__TOOL_STATUS_FAILED,
                    reason);
        return;
    }
    calls_submit(tools->calls, call, tool, &trace, &arguments, message->reply);
}
