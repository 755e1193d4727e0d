#include "backlog.h"

#include "mem.h"
#include "store_reply.h"

#include <stdio.h>
#include <stdlib.h>

#define INTERVAL_MS 2000
#define TIMEOUT_MS  5000
#define SUBJECT_MAX 512

struct backlog {
    struct bus *bus;
    struct metric *pending;
    struct bus_request *request; /* NULL: none is under way */
    uv_timer_t timer;
    char subject[SUBJECT_MAX];
};

static void on_info(void *arg, int err, const struct bus_message *reply)
{
    struct backlog *backlog = arg;
    uint64_t pending;
    if (!store_reply_pending(err, reply, &pending))
        metric_set(backlog->pending, (double)pending);
}

/* What can't be sent now is asked again soon. */
static void on_timer(uv_timer_t *timer)
{
    struct backlog *backlog = timer->data;
    if (backlog->request || !bus_connected(backlog->bus))
        return;
    int err = bus_request(backlog->bus, backlog->subject, NULL, NULL, TIMEOUT_MS, on_info, backlog, &backlog->request);
    (void)err;
}

struct backlog *backlog_new(struct bus *bus, const char *stream, const char *consumer, struct metric *pending)
{
    struct backlog *backlog = mem_alloc(sizeof *backlog);
    backlog->bus = bus;
    backlog->pending = pending;
    snprintf(backlog->subject, sizeof backlog->subject, "$JS.API.CONSUMER.INFO.%s.%s", stream, consumer);
    uv_timer_init(bus_loop(bus), &backlog->timer);
    backlog->timer.data = backlog;
    uv_timer_start(&backlog->timer, on_timer, INTERVAL_MS, INTERVAL_MS);
    return backlog;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void backlog_free(struct backlog **backlog)
{
    struct backlog *gone = *backlog;
    *backlog = NULL;
    if (!gone)
        return;
    bus_request_cancel(&gone->request);
    uv_close((uv_handle_t *)&gone->timer, on_closed);
}
