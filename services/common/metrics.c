#include "metrics.h"

#include "mem.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { COUNTER, GAUGE, HISTOGRAM };

struct metric {
    struct metric *next; /* of the same family */
    char *labels;        /* "" where there are none */
    double value;        /* of a histogram: the sum of what was observed */
    const double *bounds;
    size_t bound_count;
    uint64_t *counts; /* by bound, not summed up; the last one is above all bounds */
};

/* The exposition format wants all series of one name together. */
struct family {
    struct family *next;
    const char *name;
    const char *help;
    enum kind kind;
    struct metric *first, **last;
};

struct metrics {
    struct family *first, **last;
};

const double metrics_seconds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60};
const size_t metrics_seconds_count = sizeof metrics_seconds / sizeof *metrics_seconds;

struct metrics *metrics_new(void)
{
    struct metrics *metrics = mem_alloc(sizeof *metrics);
    metrics->last = &metrics->first;
    return metrics;
}

static void family_free(struct family *family)
{
    for (struct metric *metric = family->first, *next; metric; metric = next) {
        next = metric->next;
        free(metric->labels);
        free(metric->counts);
        free(metric);
    }
    free(family);
}

void metrics_free(struct metrics **metrics)
{
    if (!*metrics)
        return;
    for (struct family *family = (*metrics)->first, *next; family; family = next) {
        next = family->next;
        family_free(family);
    }
    free(*metrics);
    *metrics = NULL;
}

static struct family *family_get(struct metrics *metrics, const char *name, const char *help, enum kind kind)
{
    for (struct family *family = metrics->first; family; family = family->next) {
        if (strcmp(family->name, name) == 0) {
            assert(family->kind == kind);
            return family;
        }
    }
    struct family *family = mem_alloc(sizeof *family);
    *family = (struct family){.name = name, .help = help, .kind = kind};
    family->last = &family->first;
    *metrics->last = family;
    metrics->last = &family->next;
    return family;
}

/* The same name and labels again are the same metric: two series of that name would be no valid exposition. */
static struct metric *metric_get(struct family *family, const char *labels)
{
    labels = labels ? labels : "";
    for (struct metric *metric = family->first; metric; metric = metric->next) {
        if (strcmp(metric->labels, labels) == 0)
            return metric;
    }
    struct metric *metric = mem_alloc(sizeof *metric);
    metric->labels = mem_strdup(labels);
    *family->last = metric;
    family->last = &metric->next;
    return metric;
}

struct metric *metrics_counter(struct metrics *metrics, const char *name, const char *help, const char *labels)
{
    return metric_get(family_get(metrics, name, help, COUNTER), labels);
}

struct metric *metrics_gauge(struct metrics *metrics, const char *name, const char *help, const char *labels)
{
    return metric_get(family_get(metrics, name, help, GAUGE), labels);
}

struct metric *metrics_histogram(struct metrics *metrics, const char *name, const char *help, const char *labels,
                                 const double *bounds, size_t count)
{
    struct metric *metric = metric_get(family_get(metrics, name, help, HISTOGRAM), labels);
    if (!metric->counts) {
        metric->bounds = bounds;
        metric->bound_count = count;
        metric->counts = mem_alloc((count + 1) * sizeof *metric->counts);
    }
    return metric;
}

void metric_add(struct metric *metric, double by)
{
    assert(!metric->counts);
    metric->value += by;
}

void metric_set(struct metric *metric, double value)
{
    assert(!metric->counts);
    metric->value = value;
}

void metric_observe(struct metric *metric, double value)
{
    assert(metric->counts);
    size_t at = 0;
    while (at < metric->bound_count && value > metric->bounds[at])
        at++;
    metric->counts[at]++;
    metric->value += value;
}

double metric_value(const struct metric *metric)
{
    assert(!metric->counts);
    return metric->value;
}

/* ---- exposition */

/* The shortest of two that reads back as the same number. */
static void append_number(struct buf *out, double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value)
        snprintf(text, sizeof text, "%.17g", value);
    buf_append_text(out, text);
}

static void append_labels(struct buf *out, const char *labels)
{
    if (*labels)
        buf_printf(out, "{%s}", labels);
}

static void append_simple(struct buf *out, const struct family *family, const struct metric *metric)
{
    buf_append_text(out, family->name);
    append_labels(out, metric->labels);
    buf_append_char(out, ' ');
    append_number(out, metric->value);
    buf_append_char(out, '\n');
}

static void append_bucket(struct buf *out, const struct family *family, const struct metric *metric, size_t at,
                          uint64_t sum)
{
    buf_printf(out, "%s_bucket{%s%sle=\"", family->name, metric->labels, *metric->labels ? "," : "");
    if (at < metric->bound_count)
        append_number(out, metric->bounds[at]);
    else
        buf_append_text(out, "+Inf");
    buf_printf(out, "\"} %" PRIu64 "\n", sum);
}

static void append_histogram(struct buf *out, const struct family *family, const struct metric *metric)
{
    uint64_t sum = 0;
    for (size_t at = 0; at <= metric->bound_count; at++) {
        sum += metric->counts[at];
        append_bucket(out, family, metric, at, sum);
    }
    buf_printf(out, "%s_sum", family->name);
    append_labels(out, metric->labels);
    buf_append_char(out, ' ');
    append_number(out, metric->value);
    buf_printf(out, "\n%s_count", family->name);
    append_labels(out, metric->labels);
    buf_printf(out, " %" PRIu64 "\n", sum);
}

void metrics_append(const struct metrics *metrics, struct buf *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    for (const struct family *family = metrics->first; family; family = family->next) {
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name, kinds[family->kind]);
        for (const struct metric *metric = family->first; metric; metric = metric->next) {
            if (family->kind == HISTOGRAM)
                append_histogram(out, family, metric);
            else
                append_simple(out, family, metric);
        }
    }
}
