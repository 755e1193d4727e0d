#include "rest_call.h"

#include "json.h"
#include "log.h"
#include "mem.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

static void free_call(struct rest_call *call)
{
    free(call->kept);
    free(call);
}

static void on_ended(void *arg, bool gone)
{
    (void)gone;
    struct rest_call *call = arg;
    call->exchange = NULL;
    if (!call->gather)
        return; /* a router will answer, or the bus ends */
    stats_forget(&call->gather);
    free_call(call);
}

struct rest_call *rest_call_new(struct gateway *gateway, struct web_exchange *exchange, const struct web_head *head,
                                json_t *(*failure)(const char *message))
{
    struct rest_call *call = mem_alloc(sizeof *call);
    call->gateway = gateway;
    call->exchange = exchange;
    call->failure = failure;
    trace_take(&call->trace, web_head_header(head, TRACE_HEADER));
    web_exchange_on_end(exchange, on_ended, call);
    return call;
}

/* ---- Responding */

/* `json` NULL: nothing to say. */
static void respond(struct rest_call *call, int status, const char *const *headers, struct buf *json)
{
    if (call->exchange) {
        web_exchange_on_end(call->exchange, NULL, NULL);
        web_respond(call->exchange, status, json ? "application/json" : NULL, headers, json);
    }
    if (json)
        buf_deinit(json);
    free_call(call);
}

static void respond_value(struct rest_call *call, int status, const char *const *headers, json_t *value)
{
    struct buf json = {0};
    json_append_take(&json, value);
    respond(call, status, headers, &json);
}

void rest_call_respond(struct rest_call *call, int status, json_t *value)
{
    respond_value(call, status, NULL, value);
}

void rest_call_respond_body(struct rest_call *call, struct buf *json)
{
    respond(call, 200, NULL, json);
}

void rest_call_respond_nothing(struct rest_call *call)
{
    respond(call, 204, NULL, NULL);
}

void rest_call_fail(struct rest_call *call, int status, const char *message)
{
    static const char *const challenge[] = {"WWW-Authenticate", "Bearer", NULL};
    static const char *const upgrade[] = {"Upgrade", "websocket", "Connection", "Upgrade", NULL};
    const char *const *headers = status == 401 ? challenge : status == 426 ? upgrade : NULL;
    respond_value(call, status, headers, call->failure(message));
}

void rest_call_refuse_method(struct rest_call *call, const char *allowed)
{
    const char *const allow[] = {"Allow", allowed, NULL};
    respond_value(call, 405, allow, call->failure("Method not allowed"));
}

/* ---- Asking */

static void on_reply(void *arg, int err, const struct bus_message *reply)
{
    struct rest_call *call = arg;
    if (err) {
        log_warning("a call over HTTP failed", LOG_TRACE(&call->trace), LOG_ERR(err));
        rest_call_fail(call, err == ERR_TOO_LARGE ? 413 : 503,
                       err == ERR_TOO_LARGE ? "too large" : GATEWAY_UNAVAILABLE);
        return;
    }
    call->replied(call, reply);
}

/* The web has ended before the bus, so its client has gone. */
static void forget(void *arg)
{
    free_call(arg);
}

void rest_call_ask(struct rest_call *call, const char *subject, struct buf *packed,
                   void (*replied)(struct rest_call *call, const struct bus_message *reply))
{
    call->replied = replied;
    struct trace_headers headers;
    bus_call(call->gateway->service->bus, subject, trace_headers(&call->trace, &headers), packed,
             call->gateway->settings->command_timeout_ms, on_reply, forget, call);
}

bool rest_call_unpack(struct rest_call *call, const struct bus_message *reply,
                      const ProtobufCMessageDescriptor *descriptor, void *out_message)
{
    int err = wire_unpack(call->gateway->arena, descriptor, reply->data, reply->len, out_message);
    if (err) {
        log_warning("a router's answer can't be read", LOG_TRACE(&call->trace), LOG_ERR(err));
        rest_call_fail(call, 503, GATEWAY_UNAVAILABLE);
    }
    return !err;
}

bool rest_call_has_failed(struct rest_call *call, const ProtobufCBinaryData *failure)
{
    if (failure->len == 0)
        return false;
    struct buf reason = {0};
    utf8_append_repaired(&reason, (const char *)failure->data, failure->len);
    rest_call_fail(call, 503, reason.data);
    buf_deinit(&reason);
    return true;
}

void rest_call_gather(struct rest_call *call, const struct dialect *dialect, bool connections, stats_done *done)
{
    stats_gather(call->gateway, dialect, connections, done, call, &call->gather);
}
