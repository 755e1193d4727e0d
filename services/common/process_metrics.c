#include "process_metrics.h"

#include "clock.h"
#include "mem.h"
#include "service.h"

#include <stdio.h>
#include <stdlib.h>

#define LAG_INTERVAL_MS 1000
#define LABELS_SIZE     128

struct process_metrics {
    uv_timer_t timer;
    struct metric *lag;
    uint64_t due_ns; /* when the timer should fire next */
};

/* Armed anew each time: a timer that repeats would shift its own due times by its lag. */
static void on_timer(uv_timer_t *timer)
{
    struct process_metrics *process = timer->data;
    uint64_t now = uv_hrtime();
    metric_observe(process->lag, now > process->due_ns ? (double)(now - process->due_ns) / 1e9 : 0);
    uv_update_time(timer->loop);
    process->due_ns = now + (uint64_t)LAG_INTERVAL_MS * 1000000;
    uv_timer_start(timer, on_timer, LAG_INTERVAL_MS, 0);
}

static void add_constants(struct metrics *metrics, const char *service)
{
    char labels[LABELS_SIZE];
    snprintf(labels, sizeof labels, "service=\"%s\",version=\"%s\"", service, PARLEY_VERSION);
    metric_set(metrics_gauge(metrics, "parley_up", "1 while the process runs", NULL), 1);
    metric_set(metrics_gauge(metrics, "parley_build_info", "always 1; its labels say what runs", labels), 1);
    metric_set(metrics_gauge(metrics, "process_start_time_seconds", "start of the process, Unix time", NULL),
               clock_wall_seconds());
}

struct process_metrics *process_metrics_new(uv_loop_t *loop, struct metrics *metrics, const char *service)
{
    struct process_metrics *process = mem_alloc(sizeof *process);
    add_constants(metrics, service);
    process->lag = metrics_histogram(metrics, "parley_loop_lag_seconds", "how late a timer of the loop fired", NULL,
                                     metrics_seconds, metrics_seconds_count);
    uv_timer_init(loop, &process->timer);
    uv_unref((uv_handle_t *)&process->timer);
    process->timer.data = process;
    process->due_ns = uv_hrtime() + (uint64_t)LAG_INTERVAL_MS * 1000000;
    uv_timer_start(&process->timer, on_timer, LAG_INTERVAL_MS, 0);
    return process;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void process_metrics_free(struct process_metrics **process)
{
    if (*process)
        uv_close((uv_handle_t *)&(*process)->timer, on_closed);
    *process = NULL;
}
