/* StatsRequest: another gateway wants to know who is connected here.
 *
 *   subject   SUBJECT_GATEWAY_STATS, to all gateways
 *   from      a gateway; its own questions come here, too, and are passed over
 *   answers   GatewayStats
 *   broken    logged and dropped: who asks does not wait for long
 *
 * A list that no message can hold is left out, the counts are not. */
#include "gateway.pb-c.h"
#include "log.h"
#include "mem.h"
#include "peers.h"
#include "stats.h"
#include "subjects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct dialect *find_dialect(const char *name)
{
    for (size_t i = 0; i < dialect_count; i++)
        if (strcmp(dialects[i]->name, name) == 0)
            return dialects[i];
    return NULL;
}

/* The gateway that a reply subject belongs to; false: it is no such subject. */
static bool read_asker(const char *reply, char id[ID_SHORT_SIZE])
{
    return sscanf(reply, SUBJECT_GATEWAY_STATS_ASKER, id) == 1;
}

static void fill_list(Parley__ConnectionStats *list, Parley__ConnectionStats **pointers, const struct stats *stats)
{
    for (size_t i = 0; i < stats->count; i++) {
        const struct dialect_connection *connection = &stats->list[i];
        parley__connection_stats__init(&list[i]);
        list[i].id = (char *)connection->id;
        list[i].scope = (char *)connection->name;
        list[i].variant = connection->variant;
        list[i].connected_at = connection->connected_at;
        list[i].received_at = connection->received_at;
        list[i].frames_sent = connection->frames_sent;
        pointers[i] = &list[i];
    }
}

static int send_answer(struct gateway *gateway, const char *reply, Parley__GatewayStats *answer)
{
    struct buf packed = {0};
    wire_pack(&answer->base, &packed);
    int err = bus_publish(gateway->service->bus, reply, NULL, NULL, &packed);
    buf_deinit(&packed);
    return err;
}

static void answer_stats(struct gateway *gateway, const char *reply, const struct stats *stats)
{
    Parley__ConnectionStats *list = mem_alloc((stats->count + 1) * sizeof *list);
    Parley__ConnectionStats **pointers = mem_alloc((stats->count + 1) * sizeof *pointers);
    fill_list(list, pointers, stats);
    Parley__GatewayStats answer = PARLEY__GATEWAY_STATS__INIT;
    answer.gateway = gateway->service->id;
    answer.active = stats->counts.active;
    answer.total = stats->counts.total;
    answer.frames_sent = stats->counts.frames_sent;
    answer.max_connections = stats->counts.max_connections;
    answer.uptime_seconds = stats->counts.uptime_seconds;
    answer.connections = pointers;
    answer.n_connections = stats->count;
    int err = send_answer(gateway, reply, &answer);
    if (err == ERR_TOO_LARGE) {
        answer.n_connections = 0;
        log_warning("a list of connections is too long to be told", LOG_INT("count", stats->count));
        err = send_answer(gateway, reply, &answer);
    }
    if (err)
        log_warning("statistics could not be told", LOG_ERR(err));
    free(pointers);
    free(list);
}

void on_stats_request(void *arg, const struct bus_message *message)
{
    struct gateway *gateway = arg;
    char asker[ID_SHORT_SIZE];
    if (!message->reply || !read_asker(message->reply, asker) || strcmp(asker, gateway->service->id) == 0)
        return;
    Parley__StatsRequest *request;
    int err = wire_unpack(gateway->arena, &parley__stats_request__descriptor, message->data, message->len, &request);
    if (err) {
        log_warning("a request that can't be read", LOG_TEXT("subject", message->subject), LOG_ERR(err));
        return;
    }
    peers_heard(&gateway->peers, asker, gateway->gather_number);
    struct stats stats = {0};
    stats_add_own(gateway, find_dialect(request->dialect), request->connections, &stats);
    answer_stats(gateway, message->reply, &stats);
    stats_deinit(&stats);
}
