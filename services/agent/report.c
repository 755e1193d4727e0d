#include "report.h"

#include "clock.h"
#include "conversation.pb-c.h"
#include "mem.h"
#include "subjects.h"

#include <stdlib.h>

#define REQUEST_MS   5000
#define BACKOFF_MS   50
#define BACKOFF_MAX  2000
#define REFUSALS_MAX 3 /* a router that says why it can't is believed sooner than silence */

struct report {
    struct report_options options;
    report_handler *done;
    void *arg;
    struct report **slot;
    struct bus_request *request;
    struct alarm alarm;
    int64_t patience_ms, backoff_ms;
    int refusals;
    int err;
};

static void report_free(struct report *report)
{
    bus_request_cancel(&report->request);
    alarm_clear(report->options.alarms, &report->alarm);
    free(report);
}

static void finish(struct report *report, int err)
{
    *report->slot = NULL;
    report->done(report->arg, err);
    report_free(report);
}

static void send_report(struct report *report);

static void on_backoff(void *arg)
{
    struct report *report = arg;

    if (report->err == ERR_TOO_LARGE || report->refusals >= REFUSALS_MAX ||
        clock_monotonic_ms() >= report->options.deadline_ms)
        finish(report, report->err);
    else
        send_report(report);
}

static void try_again(struct report *report, int err)
{
    report->err = err;
    if (err == ERR_DISCONNECTED)
        report->options.deadline_ms = clock_monotonic_ms() + report->patience_ms;
    alarm_set(report->options.alarms, &report->alarm, report->backoff_ms, on_backoff, report);
    report->backoff_ms = report->backoff_ms * 2 < BACKOFF_MAX ? report->backoff_ms * 2 : BACKOFF_MAX;
}

static void on_saved(void *arg, int err, const struct bus_message *reply)
{
    struct report *report = arg;
    Parley__TurnSaved *saved;

    if (err == ERR_NONE)
        err = wire_unpack(report->options.arena, &parley__turn_saved__descriptor, reply->data, reply->len, &saved);
    if (err == ERR_NONE && saved->failure.len > 0) {
        report->refusals++;
        err = ERR_REFUSED;
    }
    if (err == ERR_NONE)
        finish(report, ERR_NONE);
    else
        try_again(report, err);
}

static void send_report(struct report *report)
{
    struct buf payload = {0};

    report->options.pack(report->arg, &payload);
    struct trace_headers headers;
    int err = bus_request(report->options.bus, SUBJECT_TURN_DONE, trace_headers(report->options.trace, &headers),
                          &payload, REQUEST_MS, on_saved, report, &report->request);
    buf_deinit(&payload);
    if (err != ERR_NONE)
        try_again(report, err);
}

void report_start(const struct report_options *options, report_handler *done, void *arg, struct report **slot)
{
    struct report *report = mem_alloc(sizeof *report);

    report->options = *options;
    report->done = done;
    report->arg = arg;
    report->slot = slot;
    report->patience_ms = options->deadline_ms - clock_monotonic_ms();
    report->backoff_ms = BACKOFF_MS;
    *slot = report;
    send_report(report);
}

void report_cancel(struct report **report)
{
    if (*report == NULL)
        return;
    report_free(*report);
    *report = NULL;
}
