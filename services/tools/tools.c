#include "tools.h"

#include "log.h"
#include "mem.h"
#include "subjects.h"

#include <stdlib.h>

#define ARENA_BYTES (8 << 20)

static const struct {
    const char *subject, *queue;
    bus_handler *handler;
} messages[TOOLS_SUBSCRIPTIONS] = {
    {SUBJECT_TOOL_ALL, QUEUE_TOOLS, on_call},
    {SUBJECT_TOOLS_LIST, QUEUE_TOOLS, on_list},
    {SUBJECT_TOOL_CANCEL, NULL, on_cancel}, /* the last: while draining, what runs can still be cancelled */
};

static void on_connected(void *arg)
{
    struct tools *tools = arg;
    if (tools->subscriptions[0] || service_draining(tools->service))
        return; /* they last over reconnects */
    for (size_t i = 0; i < TOOLS_SUBSCRIPTIONS; i++)
        tools->subscriptions[i] =
            bus_subscribe(tools->service->bus, messages[i].subject, messages[i].queue, messages[i].handler, tools);
}

static void finish_if_drained(void *arg)
{
    struct tools *tools = arg;
    if (tools->draining == 0 && calls_idle(tools->calls))
        service_drained(tools->service);
}

static void on_drained(void *arg)
{
    struct tools *tools = arg;
    tools->draining--;
    finish_if_drained(tools);
}

/* What the broker has routed to us already is for nobody else: it is still done. */
static void on_drain(void *arg)
{
    struct tools *tools = arg;
    for (size_t i = 0; i < TOOLS_SUBSCRIPTIONS - 1 && tools->subscriptions[i]; i++) {
        tools->draining++;
        bus_drain(tools->subscriptions[i], on_drained, tools);
    }
    calls_on_idle(tools->calls, finish_if_drained, tools);
    finish_if_drained(tools);
}

static struct registry *load_registry(const struct tools_settings *settings)
{
    struct registry *registry = registry_new();
    char reason[512];
    if (settings->config && registry_load(registry, settings->config, reason, sizeof reason))
        log_error("the tools of TOOLS_CONFIG are left out", LOG_TEXT("error", reason)); /* changed since the check */
    return registry;
}

struct tools *tools_new(struct service *service, const struct tools_settings *settings)
{
    struct tools *tools = mem_alloc(sizeof *tools);
    tools->service = service;
    tools->settings = settings;
    tools->registry = load_registry(settings);
    registry_add_metrics(tools->registry, service->metrics);
    tools->not_found = metrics_counter(service->metrics, "parley_tool_calls_total", "tool calls, by how they ended",
                                       "tool=\"\",status=\"not_found\"");
    tools->calls = calls_new(service, settings);
    tools->arena = wire_arena_new(ARENA_BYTES);
    service_on_drain(service, on_drain, tools);
    service_on_connected(service, on_connected, tools);
    return tools;
}

void tools_free(struct tools **tools)
{
    struct tools *t = *tools;
    for (size_t i = 0; i < TOOLS_SUBSCRIPTIONS; i++)
        bus_unsubscribe(&t->subscriptions[i]);
    calls_free(&t->calls);
    registry_free(&t->registry);
    wire_arena_free(&t->arena);
    free(t);
    *tools = NULL;
}
