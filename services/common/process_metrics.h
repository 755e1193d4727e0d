/* What every process tells of itself: that it is up, what it is, since when, and how late its loop runs. */
#ifndef PARLEY_PROCESS_METRICS_H
#define PARLEY_PROCESS_METRICS_H

#include "metrics.h"

#include <uv.h>

struct process_metrics;

/* `service` is copied; the metrics are lent until process_metrics_free(). Its timer doesn't keep the loop alive. */
struct process_metrics *process_metrics_new(uv_loop_t *loop, struct metrics *metrics, const char *service);
/* The loop must run once more afterwards. Nulls; NULL inside is allowed. */
void process_metrics_free(struct process_metrics **process);

#endif
