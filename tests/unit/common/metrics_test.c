#include "metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void exposes(struct metrics *metrics, const char *expected)
{
    struct buf out = {0};
    metrics_append(metrics, &out);
    assert_string_equal(out.data ? out.data : "", expected);
    buf_deinit(&out);
}

static void exposes_families_together(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    exposes(metrics, "");
    struct metric *done = metrics_counter(metrics, "turns_total", "turns ended", "state=\"completed\"");
    struct metric *open = metrics_gauge(metrics, "open", "open now", NULL);
    struct metric *failed = metrics_counter(metrics, "turns_total", "ignored", "state=\"a\\\"b\\\\c\"");
    metric_add(done, 1);
    metric_add(done, 2);
    metric_add(failed, 0.1);
    metric_set(open, 7);
    metric_add(open, -9);
    assert_true(metric_value(open) == -2);
    assert_ptr_equal(done, metrics_counter(metrics, "turns_total", "", "state=\"completed\""));
    exposes(metrics, "# HELP turns_total turns ended\n# TYPE turns_total counter\n"
                     "turns_total{state=\"completed\"} 3\nturns_total{state=\"a\\\"b\\\\c\"} 0.1\n"
                     "# HELP open open now\n# TYPE open gauge\nopen -2\n");
    metrics_free(&metrics);
    assert_null(metrics);
    metrics_free(&metrics);
}

static void exposes_numbers_exactly(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    metric_set(metrics_gauge(metrics, "big", "b", NULL), 9007199254740993.0);
    metric_set(metrics_gauge(metrics, "third", "t", NULL), 1.0 / 3);
    exposes(metrics, "# HELP big b\n# TYPE big gauge\nbig 9007199254740992\n"
                     "# HELP third t\n# TYPE third gauge\nthird 0.33333333333333331\n");
    metrics_free(&metrics);
}

static void cumulates_histograms(void **state)
{
    (void)state;
    static const double bounds[] = {0.005, 1, 10};
    struct metrics *metrics = metrics_new();
    struct metric *plain = metrics_histogram(metrics, "lag_seconds", "lag", NULL, bounds, 3);
    struct metric *labelled = metrics_histogram(metrics, "lag_seconds", "lag", "at=\"x\"", bounds, 3);
    static const double seen[] = {0, 0.005, 0.5, 1, 1.5, 10, 100};
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++)
        metric_observe(plain, seen[i]);
    metric_observe(labelled, 2);
    exposes(metrics, "# HELP lag_seconds lag\n# TYPE lag_seconds histogram\n"
                     "lag_seconds_bucket{le=\"0.005\"} 2\nlag_seconds_bucket{le=\"1\"} 4\n"
                     "lag_seconds_bucket{le=\"10\"} 6\nlag_seconds_bucket{le=\"+Inf\"} 7\n"
                     "lag_seconds_sum 113.005\nlag_seconds_count 7\n"
                     "lag_seconds_bucket{at=\"x\",le=\"0.005\"} 0\nlag_seconds_bucket{at=\"x\",le=\"1\"} 0\n"
                     "lag_seconds_bucket{at=\"x\",le=\"10\"} 1\nlag_seconds_bucket{at=\"x\",le=\"+Inf\"} 1\n"
                     "lag_seconds_sum{at=\"x\"} 2\nlag_seconds_count{at=\"x\"} 1\n");
    metrics_free(&metrics);
}

static void has_rising_bounds_of_seconds(void **state)
{
    (void)state;
    assert_true(metrics_seconds[0] == 0.001);
    assert_true(metrics_seconds[metrics_seconds_count - 1] == 60);
    for (size_t i = 1; i < metrics_seconds_count; i++)
        assert_true(metrics_seconds[i] > metrics_seconds[i - 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exposes_families_together),
        cmocka_unit_test(exposes_numbers_exactly),
        cmocka_unit_test(cumulates_histograms),
        cmocka_unit_test(has_rising_bounds_of_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
