#include "store_gauges.h"

#include "mem.h"
#include "store_reply.h"
#include "stores.h"

#include <stdio.h>
#include <stdlib.h>

#define INTERVAL_MS 2000
#define TIMEOUT_MS  5000
#define SUBJECT_MAX 512

struct store_gauges {
    struct bus *bus;
    struct bus_request *request; /* NULL: none is under way */
    uv_timer_t timer;
    char subject[SUBJECT_MAX]; /* the next request's */
    bus_reply_handler *on_info;

    struct metric *pending; /* of the backlog */

    struct metrics *metrics; /* of the fill */
    size_t row;              /* of stores.h: the one that is asked for, or is next */
    char stream[STORES_STREAM_SIZE];
};

/* What can't be sent now is asked again soon. */
static void on_timer(uv_timer_t *timer)
{
    struct store_gauges *gauges = timer->data;
    if (gauges->request || !bus_connected(gauges->bus))
        return;
    int err =
        bus_request(gauges->bus, gauges->subject, NULL, NULL, TIMEOUT_MS, gauges->on_info, gauges, &gauges->request);
    (void)err;
}

static struct store_gauges *gauges_new(struct bus *bus, bus_reply_handler *on_info)
{
    struct store_gauges *gauges = mem_alloc(sizeof *gauges);
    gauges->bus = bus;
    gauges->on_info = on_info;
    uv_timer_init(bus_loop(bus), &gauges->timer);
    gauges->timer.data = gauges;
    uv_timer_start(&gauges->timer, on_timer, INTERVAL_MS, INTERVAL_MS);
    return gauges;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void store_gauges_free(struct store_gauges **gauges)
{
    struct store_gauges *gone = *gauges;
    *gauges = NULL;
    if (!gone)
        return;
    bus_request_cancel(&gone->request);
    uv_close((uv_handle_t *)&gone->timer, on_closed);
}

/* ---- The backlog of a consumer */

static void on_consumer_info(void *arg, int err, const struct bus_message *reply)
{
    const struct store_gauges *gauges = arg;
    uint64_t pending;
    if (!store_reply_pending(err, reply, &pending))
        metric_set(gauges->pending, (double)pending);
}

struct store_gauges *store_gauges_of_backlog(struct bus *bus, const char *stream, const char *consumer,
                                             struct metric *pending)
{
    struct store_gauges *gauges = gauges_new(bus, on_consumer_info);
    gauges->pending = pending;
    snprintf(gauges->subject, sizeof gauges->subject, "$JS.API.CONSUMER.INFO.%s.%s", stream, consumer);
    return gauges;
}

/* ---- The fill of all streams */

static void go_to_row(struct store_gauges *gauges, size_t row)
{
    gauges->row = stores_stream(row, gauges->stream) ? row : 0;
    (void)stores_stream(gauges->row, gauges->stream);
    snprintf(gauges->subject, sizeof gauges->subject, "$JS.API.STREAM.INFO.%s", gauges->stream);
}

static void set_fill(const struct store_gauges *gauges, const char *name, const char *help, int64_t bytes)
{
    char labels[STORES_STREAM_SIZE + 16];
    snprintf(labels, sizeof labels, "stream=\"%s\"", gauges->stream);
    metric_set(metrics_gauge(gauges->metrics, name, help, labels), (double)bytes);
}

static void on_stream_info(void *arg, int err, const struct bus_message *reply)
{
    struct store_gauges *gauges = arg;
    struct store_state state;
    if (!store_reply_state(err, reply, &state)) {
        set_fill(gauges, "parley_store_bytes", "what a stream or bucket holds", state.bytes);
        set_fill(gauges, "parley_store_max_bytes", "what a stream or bucket may hold", state.max_bytes);
    }
    go_to_row(gauges, gauges->row + 1);
}

struct store_gauges *store_gauges_of_fill(struct bus *bus, struct metrics *metrics)
{
    struct store_gauges *gauges = gauges_new(bus, on_stream_info);
    gauges->metrics = metrics;
    go_to_row(gauges, 0);
    return gauges;
}
