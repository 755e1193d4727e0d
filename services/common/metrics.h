/* Metrics in the Prometheus text format (exposition format 0.0.4). Counters, gauges and histograms live in one registry
 * a process and are changed by the loop's thread only.
 *
 *   turns = metrics_counter(m, "parley_turns_total", "turns ended", "state=\"completed\"");
 *   metric_add(turns, 1);
 *
 * One name may be registered several times with other labels; help and type are those of the first. */
#ifndef PARLEY_METRICS_H
#define PARLEY_METRICS_H

#include "buf.h"

#include <stdint.h>

struct metrics;
struct metric;

struct metrics *metrics_new(void);
void metrics_free(struct metrics **metrics); /* and all its metrics */

/* `labels` is the text between the braces, already escaped, or NULL. Names and help are lent for ever; labels are
 * copied. */
struct metric *metrics_counter(struct metrics *metrics, const char *name, const char *help, const char *labels);
struct metric *metrics_gauge(struct metrics *metrics, const char *name, const char *help, const char *labels);
/* `bounds`: upper bounds, rising, `count` of them; +Inf is added. Lent for ever. */
struct metric *metrics_histogram(struct metrics *metrics, const char *name, const char *help, const char *labels,
                                 const double *bounds, size_t count);

void metric_add(struct metric *metric, double by);        /* counter or gauge */
void metric_set(struct metric *metric, double value);     /* gauge, or a counter kept elsewhere */
void metric_observe(struct metric *metric, double value); /* histogram */
double metric_value(const struct metric *metric);         /* counter or gauge */

void metrics_append(const struct metrics *metrics, struct buf *out);

/* Bounds in seconds from 1 ms to 60 s, for latencies. */
extern const double metrics_seconds[];
extern const size_t metrics_seconds_count;

#endif
