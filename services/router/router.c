#include "router.h"

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "subjects.h"
#include "webhook.h"

#include <stdlib.h>
#include <string.h>

/* What one message may take unpacked. Above anything that the broker carries and the limits allow, so that a question
 * which is too long can still be read and refused by name. */
#define ARENA_BYTES (32 << 20)

static const struct {
    const char *subject;
    bus_handler *handler;
} commands[ROUTER_SUBSCRIPTIONS] = {
    {SUBJECT_COMMAND_ASK, on_ask},
    {SUBJECT_TURN_DONE, on_turn_done},
    {SUBJECT_COMMAND_CALL_TOOL, on_call_tool},
    {SUBJECT_COMMAND_CONTACT, on_contact},
    {SUBJECT_COMMAND_CONTACT_LIST, on_contact_list},
    {SUBJECT_COMMAND_CONTACT_DELETE, on_contact_delete},
    {SUBJECT_COMMAND_HISTORY, on_history},
    {SUBJECT_COMMAND_RESET, on_reset},
    {SUBJECT_COMMAND_BROADCAST, on_broadcast},
    {SUBJECT_COMMAND_FIND_PIPELINE, on_find_pipeline},
};

static void on_connected(void *arg)
{
    struct router *router = arg;
    if (router->subscriptions[0] || service_draining(router->service))
        return; /* they last over reconnects */
    for (size_t i = 0; i < ROUTER_SUBSCRIPTIONS; i++)
        router->subscriptions[i] =
            bus_subscribe(router->service->bus, commands[i].subject, QUEUE_ROUTERS, commands[i].handler, router);
    webhook_open(router->webhook);
}

/* What is under way goes on with what it has begun with. */
static void on_reload(void *arg)
{
    struct router *router = arg;
    struct config *config;
    char reason[CONFIG_REASON_SIZE];
    if (config_load(router->settings->config, &config, reason)) {
        log_error("the configuration stays as it was: the new one is wrong", LOG_TEXT("error", reason));
        return;
    }
    config_free(&router->config);
    router->config = config;
    webhook_reconfigure(router->webhook);
    log_info("configuration read again");
}

static void finish_if_drained(struct router *router)
{
    if (service_draining(router->service) && router->draining == 0 && TAILQ_EMPTY(&router->under_way))
        service_drained(router->service);
}

static void on_drained(void *arg)
{
    struct router *router = arg;
    router->draining--;
    finish_if_drained(router);
}

/* What the broker has routed to us already is for nobody else: it is still done. */
static void on_drain(void *arg)
{
    struct router *router = arg;
    for (size_t i = 0; i < ROUTER_SUBSCRIPTIONS && router->subscriptions[i]; i++) {
        router->draining++;
        bus_drain(router->subscriptions[i], on_drained, router);
    }
    webhook_close(router->webhook);
    finish_if_drained(router);
}

static void register_metrics(struct router *router)
{
    struct metrics *m = router->service->metrics;
    const char *asks = "parley_questions_total", *asks_help = "questions taken by the router, by what became of them";
    router->metrics.accepted = metrics_counter(m, asks, asks_help, "result=\"accepted\"");
    router->metrics.noted = metrics_counter(m, asks, asks_help, "result=\"noted\"");
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
    router->metrics.contacts = metrics_counter(m, "parley_contacts_total", "contact requests stored", NULL);
    router->metrics.under_way = metrics_gauge(m, "parley_commands_under_way", "commands not yet answered", NULL);
}

struct router *router_new(struct service *service, const struct router_settings *settings)
{
    struct config *config;
    char reason[CONFIG_REASON_SIZE];
    if (config_load(settings->config, &config, reason)) {
        log_error("the configuration is wrong", LOG_TEXT("error", reason));
        return NULL;
    }
    struct router *router = mem_alloc(sizeof *router);
    router->service = service;
    router->settings = settings;
    router->config = config;
    TAILQ_INIT(&router->under_way);
    TAILQ_INIT(&router->changes);
    TAILQ_INIT(&router->contacts);
    router->message = wire_arena_new(ARENA_BYTES);
    router->stored = wire_arena_new(ARENA_BYTES);
    register_metrics(router);
    router->webhook = webhook_new(router);
    router->fill = store_gauges_of_fill(service->bus, service->metrics);
    service_on_reload(service, on_reload, router);
    service_on_drain(service, on_drain, router);
    service_on_connected(service, on_connected, router);
    return router;
}

void router_stop(struct router *router)
{
    router->stopped = true;
    for (size_t i = 0; i < ROUTER_SUBSCRIPTIONS; i++)
        bus_unsubscribe(&router->subscriptions[i]);
    struct command *command;
    TAILQ_FOREACH(command, &router->under_way, link)
    {
        if (command->stop)
            command->stop(command);
    }
    webhook_stop(router->webhook);
    store_gauges_free(&router->fill);
}

static void free_command(struct command *command)
{
    if (command->deinit)
        command->deinit(command);
    free(command->reply);
    free(command);
}

void router_free(struct router **router)
{
    struct router *r = *router;
    while (!TAILQ_EMPTY(&r->under_way)) {
        struct command *command = TAILQ_FIRST(&r->under_way);
        TAILQ_REMOVE(&r->under_way, command, link);
        free_command(command);
    }
    webhook_free(&r->webhook);
    config_free(&r->config);
    wire_arena_free(&r->message);
    wire_arena_free(&r->stored);
    free(r);
    *router = NULL;
}

void *router_read(struct router *router, const struct bus_message *message,
                  const ProtobufCMessageDescriptor *descriptor, struct command *command)
{
    void *unpacked;
    *command = (struct command){.router = router, .reply = (char *)message->reply};
    trace_take(&command->trace, bus_message_header(message, TRACE_HEADER));
    int err = wire_unpack(router->message, descriptor, message->data, message->len, &unpacked);
    return err || !message->reply ? NULL : unpacked;
}

void router_drop(const struct command *command, const struct bus_message *message)
{
    log_warning("a command that can't be read was dropped", LOG_TEXT("subject", message->subject),
                LOG_TRACE(&command->trace));
}

bool router_is_full(const struct router *router)
{
    return router->under_way_count >= router->settings->max_commands;
}

void *router_begin(const struct command *command, size_t size)
{
    struct router *router = command->router;
    struct command *begun = mem_alloc(size);
    begun->router = router;
    begun->reply = command->reply ? mem_strdup(command->reply) : NULL;
    begun->trace = command->trace;
    TAILQ_INSERT_TAIL(&router->under_way, begun, link);
    metric_set(router->metrics.under_way, (double)++router->under_way_count);
    return begun;
}

void router_end(struct command *command)
{
    struct router *router = command->router;
    TAILQ_REMOVE(&router->under_way, command, link);
    metric_set(router->metrics.under_way, (double)--router->under_way_count);
    free_command(command);
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

static int publish(const struct command *command, const char *subject, struct buf *message)
{
    int err = bus_publish(command->router->service->bus, subject, NULL, NULL, message);
    if (err)
        log_warning("an answer could not be sent", LOG_TEXT("subject", subject), LOG_TRACE(&command->trace),
                    LOG_ERR(err));
    return err;
}

void router_reply_packed(const struct command *command, struct buf *answer)
{
    if (command->reply)
        publish(command, command->reply, answer);
    buf_deinit(answer);
}

void router_reply(const struct command *command, const ProtobufCMessage *answer)
{
    struct buf packed = {0};
    wire_pack(answer, &packed);
    router_reply_packed(command, &packed);
}

int router_send_event(const struct command *command, const char *subject, Parley__Event *event)
{
    Parley__Events events = PARLEY__EVENTS__INIT;
    struct buf packed = {0};
    events.events = &event;
    events.n_events = 1;
    wire_pack(&events.base, &packed);
    return publish(command, subject, &packed);
}

ProtobufCBinaryData router_text(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
}

struct conversation_limits router_conversation_limits(const struct router *router)
{
    return (struct conversation_limits){
        .max_turns = (size_t)router->settings->conversation_max_turns,
        .max_bytes = (size_t)router->settings->conversation_max_bytes,
    };
}
