#include "stats.h"

#include "clock.h"
#include "connection.h"
#include "gateway.pb-c.h"
#include "log.h"
#include "mem.h"
#include "peers.h"
#include "subjects.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gather {
    struct chain link; /* of the gateway */
    struct gateway *gateway;
    uint64_t number;
    bool connections;
    int64_t deadline_ms; /* monotonic */
    struct stats stats;
    stats_done *done;
    void *arg;
    struct gather **handle;
};

/* ---- Adding up */

static void add_counts(struct dialect_counts *sum, const struct dialect_counts *counts)
{
    sum->active += counts->active;
    sum->total += counts->total;
    sum->frames_sent += counts->frames_sent;
    sum->max_connections += counts->max_connections;
    if (counts->uptime_seconds > sum->uptime_seconds)
        sum->uptime_seconds = counts->uptime_seconds;
}

/* Copies the texts. */
static void add_connection(struct stats *stats, const struct dialect_connection *connection)
{
    if (stats->count == stats->capacity) {
        stats->capacity = stats->capacity ? stats->capacity * 2 : 16;
        stats->list = mem_realloc(stats->list, stats->capacity * sizeof *stats->list);
    }
    struct dialect_connection *copy = &stats->list[stats->count++];
    *copy = *connection;
    copy->id = mem_strdup(connection->id);
    copy->name = mem_strdup(connection->name);
}

void stats_deinit(struct stats *stats)
{
    for (size_t i = 0; i < stats->count; i++) {
        free((char *)stats->list[i].id);
        free((char *)stats->list[i].name);
    }
    free(stats->list);
    *stats = (struct stats){0};
}

/* Whether it has come in, and stays. */
static bool is_listed(const struct connection *connection, const struct dialect *dialect)
{
    return (!dialect || connection->dialect == dialect) && !connection->join && !connection->ending &&
           !connection->doomed;
}

static void add_own_connections(const struct gateway *gateway, const struct dialect *dialect, struct stats *stats)
{
    for (struct chain *link = gateway->connections; link; link = link->next) {
        const struct connection *connection = OWNER_OF(link, struct connection, link);
        if (!is_listed(connection, dialect))
            continue;
        const struct dialect_connection listed = {
            .id = connection->client.id,
            .name = connection->client.name ? connection->client.name : "",
            .variant = connection->client.variant,
            .connected_at = connection->connected_at,
            .received_at = connection->received_at,
            .frames_sent = connection->frames_sent,
        };
        add_connection(stats, &listed);
    }
}

void stats_add_own(struct gateway *gateway, const struct dialect *dialect, bool connections, struct stats *stats)
{
    double now = clock_wall_seconds();
    for (size_t i = 0; i < dialect_count; i++) {
        struct dialect_counts counts = gateway->dialects[i].counts;
        counts.max_connections = 0; /* of all dialects together */
        if (!dialect || dialects[i] == dialect)
            add_counts(&stats->counts, &counts);
    }
    const struct dialect_counts process = {.max_connections = (uint64_t)gateway->settings->max_connections,
                                           .uptime_seconds = now - gateway->started_at};
    add_counts(&stats->counts, &process);
    if (connections)
        add_own_connections(gateway, dialect, stats);
}

/* ---- Asking the others */

static int ask(struct gateway *gateway, const struct dialect *dialect, bool connections, uint64_t number)
{
    char reply[SUBJECT_SIZE], text[21];
    snprintf(text, sizeof text, "%" PRIu64, number);
    snprintf(reply, sizeof reply, SUBJECT_GATEWAY_STATS_REPLY, gateway->service->id, text);
    Parley__StatsRequest request = PARLEY__STATS_REQUEST__INIT;
    request.dialect = (char *)(dialect ? dialect->name : "");
    request.connections = connections;
    struct buf packed = {0};
    wire_pack(&request.base, &packed);
    int err = bus_publish(gateway->service->bus, SUBJECT_GATEWAY_STATS, reply, NULL, &packed);
    buf_deinit(&packed);
    return err;
}

void stats_greet(struct gateway *gateway)
{
    int err = ask(gateway, NULL, false, ++gateway->gather_number);
    if (err)
        log_warning("the other gateways could not be greeted", LOG_ERR(err));
}

static void free_gather(struct gather *gather)
{
    chain_remove(&gather->link);
    stats_deinit(&gather->stats);
    free(gather);
}

static void finish(struct gather *gather)
{
    if (gather->handle)
        *gather->handle = NULL;
    if (gather->done)
        gather->done(gather->arg, &gather->stats);
    free_gather(gather);
}

void stats_gather(struct gateway *gateway, const struct dialect *dialect, bool connections, stats_done *done, void *arg,
                  struct gather **handle)
{
    struct gather *gather = mem_alloc(sizeof *gather);
    gather->gateway = gateway;
    gather->number = ++gateway->gather_number;
    gather->connections = connections;
    gather->deadline_ms = clock_monotonic_ms() + STATS_WAIT_MS;
    gather->done = done;
    gather->arg = arg;
    gather->handle = handle;
    *handle = gather;
    chain_add(&gateway->gathers, &gather->link);
    stats_add_own(gateway, dialect, connections, &gather->stats);
    bool alone = !gateway_reachable(gateway) || ask(gateway, dialect, connections, gather->number) != ERR_NONE ||
                 peers_answered(&gateway->peers, gather->number);
    if (alone)
        finish(gather);
    else
        gateway_keep_ticking(gateway);
}

void stats_forget(struct gather **gather)
{
    if (!*gather)
        return;
    (*gather)->done = NULL;
    (*gather)->handle = NULL;
    *gather = NULL;
}

void stats_tick(struct gateway *gateway, int64_t now_ms)
{
    for (struct chain *link = gateway->gathers, *next; link; link = next) {
        next = link->next;
        struct gather *gather = OWNER_OF(link, struct gather, link);
        if (now_ms < gather->deadline_ms)
            continue;
        peers_drop_silent(&gateway->peers, gather->number);
        finish(gather);
    }
}

void stats_free_all(struct gateway *gateway)
{
    while (gateway->gathers)
        free_gather(OWNER_OF(gateway->gathers, struct gather, link));
    peers_deinit(&gateway->peers);
}

/* ---- GatewayStats: what another one answers. Subject SUBJECT_GATEWAY_STATS_REPLY; broken: logged and dropped. */

static void add_answer(struct gather *gather, const Parley__GatewayStats *answer)
{
    const struct dialect_counts counts = {
        .active = answer->active,
        .total = answer->total,
        .frames_sent = answer->frames_sent,
        .max_connections = answer->max_connections,
        .uptime_seconds = answer->uptime_seconds,
    };
    add_counts(&gather->stats.counts, &counts);
    for (size_t i = 0; gather->connections && i < answer->n_connections; i++) {
        const Parley__ConnectionStats *connection = answer->connections[i];
        const struct dialect_connection listed = {
            .id = connection->id,
            .name = connection->scope,
            .variant = (uint8_t)connection->variant,
            .connected_at = connection->connected_at,
            .received_at = connection->received_at,
            .frames_sent = connection->frames_sent,
        };
        add_connection(&gather->stats, &listed);
    }
}

static struct gather *find_gather(const struct gateway *gateway, uint64_t number)
{
    for (struct chain *link = gateway->gathers; link; link = link->next)
        if (OWNER_OF(link, struct gather, link)->number == number)
            return OWNER_OF(link, struct gather, link);
    return NULL;
}

void on_stats(void *arg, const struct bus_message *message)
{
    struct gateway *gateway = arg;
    const char *dot = strrchr(message->subject, '.');
    uint64_t number = strtoull(dot + 1, NULL, 10);
    Parley__GatewayStats *answer;
    int err = wire_unpack(gateway->arena, &parley__gateway_stats__descriptor, message->data, message->len, &answer);
    if (err) {
        log_warning("statistics that can't be read", LOG_TEXT("subject", message->subject), LOG_ERR(err));
        return;
    }
    peers_heard(&gateway->peers, answer->gateway, number);
    struct gather *gather = find_gather(gateway, number);
    if (!gather)
        return;
    add_answer(gather, answer);
    if (peers_answered(&gateway->peers, number))
        finish(gather);
}
