#include "gateway.h"

#include "authentication.h"
#include "cancel.h"
#include "clock.h"
#include "connection.h"
#include "edge.h"
#include "log.h"
#include "mem.h"
#include "pages.h"
#include "rooms.h"
#include "session.h"
#include "stats.h"
#include "subjects.h"
#include "tokens.h"
#include "turn.h"
#include "utf8.h"
#include "withdraw.h"

#include <stdio.h>
#include <stdlib.h>

/* What one message may take unpacked: above anything that the broker carries. */
#define ARENA_BYTES ((size_t)32 << 20)
#define TICK_MS     100
#define BEAT_MS     1000
/* Before the service stops the loop: for the close frames. */
#define FAREWELL_MS 500

/* ---- Time */

static void on_beat(uv_timer_t *timer)
{
    struct gateway *gateway = timer->data;
    int64_t now_ms = clock_monotonic_ms();
    for (struct chain *link = gateway->connections, *next; link; link = next) {
        next = link->next;
        connection_beat(OWNER_OF(link, struct connection, link), now_ms);
    }
    withdraw_retry(gateway);
    metric_set(gateway->metrics.buffered, (double)gateway->service->budget.used);
}

static void on_tick(uv_timer_t *timer)
{
    struct gateway *gateway = timer->data;
    int64_t now_ms = clock_monotonic_ms();
    for (struct chain *link = gateway->in_flight, *next; link; link = next) {
        next = link->next; /* a turn that ends takes only itself away; those that it makes room for stand in front */
        turn_tick(OWNER_OF(link, struct turn, in_flight), now_ms);
    }
    stats_tick(gateway, now_ms);
    gateway_check_drained(gateway);
    if (!gateway->in_flight && !gateway->gathers && !gateway->drain_deadline_ms)
        uv_timer_stop(timer);
}

void gateway_keep_ticking(struct gateway *gateway)
{
    if (!gateway->stopped && !uv_is_active((uv_handle_t *)&gateway->tick))
        uv_timer_start(&gateway->tick, on_tick, TICK_MS, TICK_MS);
}

/* ---- The broker */

bool gateway_reachable(const struct gateway *gateway)
{
    return gateway->events && bus_connected(gateway->service->bus);
}

int gateway_request(struct gateway *gateway, const char *subject, const struct trace *trace, struct buf *packed,
                    int64_t timeout_ms, bus_reply_handler *done, void *arg, struct bus_request **request)
{
    if (!gateway_reachable(gateway)) {
        buf_deinit(packed);
        return ERR_DISCONNECTED;
    }
    struct trace_headers headers;
    return bus_request(gateway->service->bus, subject, trace_headers(trace, &headers), packed, timeout_ms, done, arg,
                       request);
}

static void subscribe(struct gateway *gateway)
{
    struct bus *bus = gateway->service->bus;
    const char *id = gateway->service->id;
    char subject[SUBJECT_SIZE];
    snprintf(subject, sizeof subject, SUBJECT_GATEWAY_EVENTS, id);
    gateway->events = bus_subscribe(bus, subject, NULL, on_event, gateway);
    snprintf(subject, sizeof subject, SUBJECT_GATEWAY_TURN_EVENTS, id);
    gateway->turn_events = bus_subscribe(bus, subject, NULL, on_event, gateway);
    snprintf(subject, sizeof subject, SUBJECT_DELIVERED, id);
    gateway->delivered = bus_subscribe(bus, subject, NULL, on_delivered, gateway);
    gateway->delivered_all = bus_subscribe(bus, SUBJECT_DELIVERED_ALL, NULL, on_delivered, gateway);
    snprintf(subject, sizeof subject, SUBJECT_GATEWAY_STATS_REPLY, id, "*");
    gateway->stats = bus_subscribe(bus, subject, NULL, on_stats, gateway);
    gateway->stats_requests = bus_subscribe(bus, SUBJECT_GATEWAY_STATS, NULL, on_stats_request, gateway);
}

/* After an outage every answer in flight may have missed something, and its agent may need time to be heard again. */
static void on_connected(void *arg)
{
    struct gateway *gateway = arg;
    if (gateway->stopped)
        return;
    if (!gateway->events)
        subscribe(gateway);
    stats_greet(gateway);
    withdraw_retry(gateway);
    for (struct chain *link = gateway->in_flight; link; link = link->next)
        turn_reconnected(OWNER_OF(link, struct turn, in_flight));
}

/* ---- The drain */

bool gateway_draining(const struct gateway *gateway)
{
    return gateway->stopped || gateway->drain_deadline_ms > 0;
}

/* Answers in flight, or ended and not yet sent. */
static bool is_busy(const struct gateway *gateway)
{
    if (gateway->in_flight || gateway->withdrawals)
        return true;
    for (struct chain *link = gateway->connections; link; link = link->next) {
        const struct connection *connection = OWNER_OF(link, struct connection, link);
        if (!connection->doomed && (connection->calls || connection->contacts ||
                                    outbox_ready(&connection->outbox, connection->dialect->serial)))
            return true;
    }
    return false;
}

void gateway_check_drained(struct gateway *gateway)
{
    if (gateway->stopped || !gateway->drain_deadline_ms)
        return;
    if (is_busy(gateway) && clock_monotonic_ms() < gateway->drain_deadline_ms)
        return;
    for (struct chain *link = gateway->connections; link; link = link->next)
        connection_close(OWNER_OF(link, struct connection, link), CLOSE_GOING_AWAY, "the service is shutting down");
    if (gateway->connection_count == 0)
        service_drained(gateway->service);
}

static void on_drain(void *arg)
{
    struct gateway *gateway = arg;
    int64_t left_ms = gateway->service->common.drain_seconds * 1000 - FAREWELL_MS;
    gateway->drain_deadline_ms = clock_monotonic_ms() + (left_ms > 0 ? left_ms : 0);
    web_stop_listening(gateway->service->web, gateway->site);
    gateway_keep_ticking(gateway);
    gateway_check_drained(gateway);
}

/* ---- Beginning and end */

static void register_dialects(struct gateway *gateway)
{
    struct metrics *m = gateway->service->metrics;
    gateway->dialects = mem_alloc(dialect_count * sizeof *gateway->dialects);
    for (size_t i = 0; i < dialect_count; i++) {
        char labels[64];
        snprintf(labels, sizeof labels, "protocol=\"%s\"", dialects[i]->name);
        gateway->dialects[i].connections = metrics_gauge(m, "parley_connections", "WebSockets that are open", labels);
        gateway->dialects[i].connections_total =
            metrics_counter(m, "parley_connections_total", "WebSockets that were opened", labels);
    }
}

static void register_metrics(struct gateway *gateway)
{
    struct metrics *m = gateway->service->metrics;
    struct gateway_metrics *metrics = &gateway->metrics;
    const char *turns = "parley_turns_total", *turns_help = "turns ended, as the gateway has seen it";
    metrics->frames_sent = metrics_counter(m, "parley_frames_sent_total", "messages sent to clients", NULL);
    metrics->answers_in_flight = metrics_gauge(m, "parley_answers_in_flight", "answers asked for and not ended", NULL);
    metrics->completed = metrics_counter(m, turns, turns_help, "state=\"completed\"");
    metrics->failed = metrics_counter(m, turns, turns_help, "state=\"failed\"");
    metrics->cancelled = metrics_counter(m, turns, turns_help, "state=\"cancelled\"");
    metrics->first_token_seconds =
        metrics_histogram(m, "parley_first_token_seconds", "from a question's sending to its answer's first text", NULL,
                          metrics_seconds, metrics_seconds_count);
    metrics->turn_seconds = metrics_histogram(m, "parley_turn_seconds", "from a question's sending to its answer's end",
                                              NULL, metrics_seconds, metrics_seconds_count);
    metrics->chunks = metrics_counter(m, "parley_chunks_total", "pieces of answers that came from agents", NULL);
    metrics->slow_clients_closed =
        metrics_counter(m, "parley_slow_clients_closed_total", "clients closed because they read too slowly", NULL);
    metrics->gaps_repaired =
        metrics_counter(m, "parley_gaps_repaired_total", "answers of which a lost part has been fetched", NULL);
    metrics->buffered =
        metrics_gauge(m, "parley_buffered_bytes",
                      "incomplete messages, waiting questions and answers under way, of all clients", NULL);
}

static void start_timers(struct gateway *gateway)
{
    uv_loop_t *loop = &gateway->service->loop;
    uv_timer_init(loop, &gateway->tick);
    uv_timer_init(loop, &gateway->heartbeat);
    gateway->tick.data = gateway->heartbeat.data = gateway;
    uv_timer_start(&gateway->heartbeat, on_beat, BEAT_MS, BEAT_MS);
}

static void on_reload(void *arg)
{
    authentication_reload(arg);
}

struct gateway *gateway_new(struct service *service, const struct gateway_settings *settings)
{
    struct gateway *gateway = mem_alloc(sizeof *gateway);
    gateway->service = service;
    gateway->settings = settings;
    gateway->arena = wire_arena_new(ARENA_BYTES);
    gateway->pages = pages_new();
    gateway->started_at = clock_wall_seconds();
    register_dialects(gateway);
    register_metrics(gateway);
    start_timers(gateway);
    service_on_drain(service, on_drain, gateway);
    service_on_reload(service, on_reload, gateway);
    service_on_connected(service, on_connected, gateway);
    return gateway;
}

void gateway_stop(struct gateway *gateway)
{
    gateway->stopped = true;
    bus_unsubscribe(&gateway->events);
    bus_unsubscribe(&gateway->turn_events);
    bus_unsubscribe(&gateway->delivered);
    bus_unsubscribe(&gateway->delivered_all);
    bus_unsubscribe(&gateway->stats);
    bus_unsubscribe(&gateway->stats_requests);
    rooms_stop(gateway);
    for (struct chain *link = gateway->connections; link; link = link->next)
        connection_leave(OWNER_OF(link, struct connection, link));
    while (gateway->in_flight) /* nobody follows them now, so their cancellation is awaited (turn.h) */
        cancel_settle(OWNER_OF(gateway->in_flight, struct turn, in_flight));
    uv_close((uv_handle_t *)&gateway->tick, NULL);
    uv_close((uv_handle_t *)&gateway->heartbeat, NULL);
}

void gateway_free(struct gateway **gateway)
{
    struct gateway *g = *gateway;
    *gateway = NULL;
    withdraw_free_all(g);
    session_free_all(g);
    stats_free_all(g);
    tokens_free(&g->tokens);
    pages_free(&g->pages);
    wire_arena_free(&g->arena);
    frames_deinit(&g->scratch);
    buf_deinit(&g->frame);
    table_deinit(&g->turns);
    table_deinit(&g->rooms);
    free(g->dialects);
    free(g);
}

struct dialect_span gateway_text(const ProtobufCBinaryData *data)
{
    bool valid = data->len > 0 && utf8_valid((const char *)data->data, data->len);
    return valid ? (struct dialect_span){(const char *)data->data, data->len} : (struct dialect_span){"", 0};
}
