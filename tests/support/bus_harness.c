#include "bus_harness.h"

#include <stdlib.h>
#include <string.h>

#define TICK_MS 5

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

void harness_init(struct harness *harness)
{
    *harness = (struct harness){0};
    broker_init(&harness->broker);
    uv_loop_init(&harness->loop);
    uv_timer_init(&harness->loop, &harness->ticker);
    uv_timer_start(&harness->ticker, on_tick, TICK_MS, TICK_MS);
    harness->metrics = metrics_new();
    harness->options = (struct bus_options){.name = "test",
                                            .url = harness->broker.url,
                                            .queue_bytes = 16 << 20,
                                            .inbox_messages = 65536,
                                            .write_deadline_ms = 500,
                                            .ping_interval_ms = 1000};
}

void harness_deinit(struct harness *harness)
{
    uv_close((uv_handle_t *)&harness->ticker, NULL);
    uv_run(&harness->loop, UV_RUN_NOWAIT);
    if (uv_loop_close(&harness->loop) != 0)
        abort(); /* somebody left a handle behind, perhaps a test that failed; waiting for it would be for ever */
    metrics_free(&harness->metrics);
    broker_deinit(&harness->broker);
}

struct bus *harness_bus(struct harness *harness)
{
    struct bus *bus = bus_new(&harness->loop, &harness->options, harness->metrics);
    if (!HARNESS_RUN_UNTIL(harness, bus_connected(bus), 10000))
        abort();
    return bus;
}

struct buf harness_text(const char *text)
{
    struct buf buf = {0};
    buf_append_text(&buf, text);
    return buf;
}
