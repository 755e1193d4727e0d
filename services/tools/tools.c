#include "tools.h"

#include "log.h"
#include "mem.h"
#include "subjects.h"

#include <stdlib.h>

#define ARENA_BYTES   (8 << 20)
#define LAST_WORDS_MS 1000

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

static void on_flushed(void *arg)
{
    struct tools *tools = arg;
    service_drained(tools->service);
}

static void on_idle(void *arg)
{
    struct tools *tools = arg;
    calls_on_idle(tools->calls, NULL, NULL);
    bus_flush(tools->service->bus, LAST_WORDS_MS, on_flushed, tools);
}

static void on_drain(void *arg)
{
    struct tools *tools = arg;
    for (size_t i = 0; i < TOOLS_SUBSCRIPTIONS - 1; i++)
        bus_unsubscribe(&tools->subscriptions[i]);
    if (calls_idle(tools->calls))
        on_idle(tools);
    else
        calls_on_idle(tools->calls, on_idle, tools);
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
