#include "middleware.h"

#include "authentication.h"
#include "clock.h"
#include "connection.h"
#include "log.h"

/* Of each connection: its messages of any kind. */
static bool limit_rate(struct visit *visit)
{
    const struct gateway_settings *settings = visit->gateway->settings;
    const struct allowance_rate rate = {settings->rate_limit, settings->rate_burst};
    if (visit->kind != VISIT_MESSAGE || allowance_take(&visit->connection->allowance, &rate, clock_monotonic_ms()))
        return true;
    visit->status = 429;
    visit->reason = "too many messages, please slow down";
    return false;
}

/* What got as far as this. Never what it says: no query, no text. */
static bool write_log(struct visit *visit)
{
    struct trace given = {0}; /* by who wants a connection, which makes none itself */
    switch (visit->kind) {
    case VISIT_UPGRADE:
        (void)trace_parse(&given, web_head_header(visit->head, TRACE_HEADER));
        log_debug("connection asked for", LOG_TEXT("path", visit->head->path), LOG_TEXT("peer", visit->head->peer),
                  LOG_TRACE(&given));
        break;
    case VISIT_MESSAGE:
        log_debug("message", LOG_TEXT("connection", visit->connection->client.id), LOG_INT("bytes", visit->len),
                  LOG_TRACE(&visit->connection->trace));
        break;
    case VISIT_REQUEST:
        break;
    case VISIT_CALL:
        log_debug("call", LOG_TEXT("method", visit->head->method), LOG_TEXT("path", visit->head->path),
                  LOG_TEXT("peer", visit->head->peer), LOG_TRACE(visit->trace));
        break;
    }
    return true;
}

static const struct {
    const char *name;
    bool (*pass)(struct visit *visit);
} chain[] = {
    {"authentication", authentication_pass},
    {"rate_limit", limit_rate},
    {"logging", write_log},
};

bool middleware_pass(struct visit *visit)
{
    for (size_t i = 0; i < sizeof chain / sizeof *chain; i++)
        if (!chain[i].pass(visit))
            return false;
    return true;
}

size_t middleware_names(const char *names[MIDDLEWARE_MAX])
{
    size_t count = sizeof chain / sizeof *chain;
    _Static_assert(sizeof chain / sizeof *chain <= MIDDLEWARE_MAX, "more steps than fit");
    for (size_t i = 0; i < count; i++)
        names[i] = chain[i].name;
    return count;
}
