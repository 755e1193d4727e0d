#include "fill.h"

#include "mem.h"
#include "store_reply.h"
#include "stores.h"

#include <stdio.h>
#include <stdlib.h>

#define INTERVAL_MS 2000
#define TIMEOUT_MS  5000
#define TEXT_SIZE   (STORES_STREAM_SIZE + 32)

struct fill {
    struct bus *bus;
    struct metrics *metrics;
    struct bus_request *request; /* NULL: none is under way */
    uv_timer_t timer;
    size_t row;                      /* of stores.h: the one that is asked for, or is next */
    char stream[STORES_STREAM_SIZE]; /* … its stream */
};

static void on_info(void *arg, int err, const struct bus_message *reply)
{
    struct fill *fill = arg;
    struct store_state state;
    char labels[TEXT_SIZE];
    fill->row++;
    if (store_reply_state(err, reply, &state))
        return;
    snprintf(labels, sizeof labels, "stream=\"%s\"", fill->stream);
    metric_set(metrics_gauge(fill->metrics, "parley_store_bytes", "what a stream or bucket holds", labels),
               (double)state.bytes);
    metric_set(metrics_gauge(fill->metrics, "parley_store_max_bytes", "what a stream or bucket may hold", labels),
               (double)state.max_bytes);
}

/* What can't be sent now is asked again soon. */
static void on_timer(uv_timer_t *timer)
{
    struct fill *fill = timer->data;
    char subject[TEXT_SIZE];
    if (fill->request || !bus_connected(fill->bus))
        return;
    if (!stores_stream(fill->row, fill->stream)) {
        fill->row = 0;
        (void)stores_stream(fill->row, fill->stream);
    }
    snprintf(subject, sizeof subject, "$JS.API.STREAM.INFO.%s", fill->stream);
    int err = bus_request(fill->bus, subject, NULL, NULL, TIMEOUT_MS, on_info, fill, &fill->request);
    (void)err;
}

struct fill *fill_new(struct bus *bus, struct metrics *metrics)
{
    struct fill *fill = mem_alloc(sizeof *fill);
    fill->bus = bus;
    fill->metrics = metrics;
    uv_timer_init(bus_loop(bus), &fill->timer);
    fill->timer.data = fill;
    uv_timer_start(&fill->timer, on_timer, INTERVAL_MS, INTERVAL_MS);
    return fill;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void fill_free(struct fill **fill)
{
    struct fill *gone = *fill;
    *fill = NULL;
    if (!gone)
        return;
    bus_request_cancel(&gone->request);
    uv_close((uv_handle_t *)&gone->timer, on_closed);
}
