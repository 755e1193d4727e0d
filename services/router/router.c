#include "router.h"

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "subjects.h"

#include <stdlib.h>

/* What one message may take unpacked. Above anything that the broker carries and the limits allow, so that a question
 * which is too long can still be read and refused by name. */
#define ARENA_BYTES   (32 << 20)
#define LAST_WORDS_MS 1000

static const struct {
    const char *subject;
    bus_handler *handler;
} commands[ROUTER_SUBSCRIPTIONS] = {
    {SUBJECT_COMMAND_ASK, on_ask},
    {SUBJECT_TURN_DONE, on_turn_done},
    {SUBJECT_COMMAND_CALL_TOOL, on_call_tool},
};

static void on_connected(void *arg)
{
    struct router *router = arg;
    if (router->subscriptions[0] || service_draining(router->service))
        return; /* they last over reconnects */
    for (size_t i = 0; i < ROUTER_SUBSCRIPTIONS; i++)
        router->subscriptions[i] =
            bus_subscribe(router->service->bus, commands[i].subject, QUEUE_ROUTERS, commands[i].handler, router);
}

static void on_flushed(void *arg)
{
    struct router *router = arg;
    service_drained(router->service);
}

static void finish_if_drained(struct router *router)
{
    if (service_draining(router->service) && router->under_way == 0)
        bus_flush(router->service->bus, LAST_WORDS_MS, on_flushed, router);
}

static void on_drain(void *arg)
{
    struct router *router = arg;
    for (size_t i = 0; i < ROUTER_SUBSCRIPTIONS; i++)
        bus_unsubscribe(&router->subscriptions[i]);
    finish_if_drained(router);
}

static void register_metrics(struct router *router)
{
    struct metrics *m = router->service->metrics;
    const char *asks = "parley_questions_total", *asks_help = "questions taken by the router, by what became of them";
    router->metrics.accepted = metrics_counter(m, asks, asks_help, "result=\"accepted\"");
    router->metrics.refused = metrics_counter(m, asks, asks_help, "result=\"refused\"");
    router->metrics.late = metrics_counter(m, asks, asks_help, "result=\"late\"");
    const char *turns = "parley_turns_saved_total", *turns_help = "finished turns handed in, by what became of them";
    router->metrics.saved = metrics_counter(m, turns, turns_help, "result=\"saved\"");
    router->metrics.repeated = metrics_counter(m, turns, turns_help, "result=\"repeated\"");
    router->metrics.unsaved = metrics_counter(m, turns, turns_help, "result=\"failed\"");
    router->metrics.conflicts = metrics_counter(m, "parley_conversation_conflicts_total",
                                                "writes of a conversation that another one overtook", NULL);
    router->metrics.tool_calls =
        metrics_counter(m, "parley_client_tool_calls_total", "tool calls made by clients themselves", NULL);
    router->metrics.under_way = metrics_gauge(m, "parley_commands_under_way", "commands not yet answered", NULL);
}

struct router *router_new(struct service *service, const struct router_settings *settings)
{
    struct router *router = mem_alloc(sizeof *router);
    router->service = service;
    router->settings = settings;
    router->command = wire_arena_new(ARENA_BYTES);
    router->stored = wire_arena_new(ARENA_BYTES);
    register_metrics(router);
    service_on_drain(service, on_drain, router);
    service_on_connected(service, on_connected, router);
    return router;
}

void router_free(struct router **router)
{
    struct router *r = *router;
    for (size_t i = 0; i < ROUTER_SUBSCRIPTIONS; i++)
        bus_unsubscribe(&r->subscriptions[i]);
    wire_arena_free(&r->command);
    wire_arena_free(&r->stored);
    free(r);
    *router = NULL;
}

bool router_begin(struct router *router)
{
    if (router->under_way >= router->settings->max_commands)
        return false;
    metric_set(router->metrics.under_way, (double)++router->under_way);
    return true;
}

void router_end(struct router *router)
{
    metric_set(router->metrics.under_way, (double)--router->under_way);
    finish_if_drained(router);
}

bool router_too_late(int64_t deadline_ms)
{
    return deadline_ms > 0 && deadline_ms <= clock_wall_ms();
}

int64_t router_time_left(int64_t deadline_ms, int64_t most)
{
    if (deadline_ms <= 0)
        return most;
    int64_t left = deadline_ms - clock_wall_ms();
    return left < 1 ? 1 : left > most ? most : left;
}

void router_reply(struct router *router, const char *subject, const ProtobufCMessage *answer)
{
    struct buf packed = {0};
    wire_pack(answer, &packed);
    router_reply_packed(router, subject, &packed);
    buf_deinit(&packed);
}

void router_reply_packed(struct router *router, const char *subject, struct buf *answer)
{
    if (!subject)
        return;
    int err = bus_publish(router->service->bus, subject, NULL, NULL, answer);
    if (err)
        log_warning("an answer could not be sent", LOG_TEXT("subject", subject), LOG_ERR(err));
}
