/* For tests of the bus: a broker, a loop that runs until something is so, and buses on it. */
#ifndef PARLEY_TEST_BUS_HARNESS_H
#define PARLEY_TEST_BUS_HARNESS_H

#include "broker.h"
#include "bus.h"
#include "clock.h"
#include "metrics.h"

#include <uv.h>

struct harness {
    struct broker broker;
    uv_loop_t loop;
    uv_timer_t ticker; /* wakes the loop, so that conditions are looked at */
    struct metrics *metrics;
    struct bus_options options;
};

void harness_init(struct harness *harness);
void harness_deinit(struct harness *harness);     /* the buses are the test's to free, before */
struct bus *harness_bus(struct harness *harness); /* a connected one */

/* Runs the loop until `condition`, at most so long; whether it came about. */
#define HARNESS_RUN_UNTIL(harness, condition, timeout_ms)     \
    __extension__({                                           \
        int64_t until_ = clock_monotonic_ms() + (timeout_ms); \
        while (!(condition) && clock_monotonic_ms() < until_) \
            uv_run(&(harness)->loop, UV_RUN_ONCE);            \
        (condition);                                          \
    })

/* A buf that holds the text. */
struct buf harness_text(const char *text);

#endif
