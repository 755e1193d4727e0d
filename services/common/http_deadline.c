#include "http_deadline.h"

#include "mem.h"

#include <stdbool.h>
#include <stdlib.h>

struct http_deadline {
    uv_timer_t timer;
    uint64_t first_byte_ms, stall_ms, total_ms;
    uint64_t begun_at, read_at; /* of the loop's clock, ms */
    bool reading;
    http_deadline_handler *handler;
    void *arg;
};

/* The nearest deadline, and what it means to miss it; UINT64_MAX: there is none. */
static uint64_t nearest(const struct http_deadline *deadline, const char **text)
{
    uint64_t at = UINT64_MAX;
    uint64_t quiet_ms = deadline->reading ? deadline->stall_ms : deadline->first_byte_ms;
    if (quiet_ms > 0) {
        at = (deadline->reading ? deadline->read_at : deadline->begun_at) + quiet_ms;
        *text = deadline->reading ? "the answer stalled" : "no answer in time";
    }
    uint64_t end = deadline->begun_at + deadline->total_ms;
    if (deadline->total_ms > 0 && end < at) {
        at = end;
        *text = "the answer took too long";
    }
    return at;
}

/* Nothing is touched after the handler, which may have freed it. */
static void look(uv_timer_t *timer)
{
    struct http_deadline *deadline = timer->data;
    const char *text = NULL;
    uint64_t at = nearest(deadline, &text);
    uint64_t now = uv_now(timer->loop);
    if (at <= now)
        deadline->handler(deadline->arg, text);
    else if (at != UINT64_MAX)
        uv_timer_start(timer, look, at - now, 0);
}

/* From within http_send() and the body's first read nothing may fire: at the earliest in the loop's next turn. */
static void watch(struct http_deadline *deadline)
{
    const char *text;
    uint64_t at = nearest(deadline, &text);
    uint64_t now = uv_now(deadline->timer.loop);
    if (at == UINT64_MAX)
        uv_timer_stop(&deadline->timer);
    else
        uv_timer_start(&deadline->timer, look, at > now ? at - now : 0, 0);
}

struct http_deadline *http_deadline_new(uv_loop_t *loop, int64_t first_byte_ms, int64_t stall_ms, int64_t total_ms,
                                        http_deadline_handler *handler, void *arg)
{
    struct http_deadline *deadline = mem_alloc(sizeof *deadline);
    deadline->first_byte_ms = (uint64_t)first_byte_ms;
    deadline->stall_ms = (uint64_t)stall_ms;
    deadline->total_ms = (uint64_t)total_ms;
    deadline->begun_at = uv_now(loop);
    deadline->handler = handler;
    deadline->arg = arg;
    uv_timer_init(loop, &deadline->timer);
    deadline->timer.data = deadline;
    watch(deadline);
    return deadline;
}

void http_deadline_note_read(struct http_deadline *deadline)
{
    deadline->read_at = uv_now(deadline->timer.loop);
    if (deadline->reading)
        return;
    deadline->reading = true;
    watch(deadline); /* only now may the nearest one have come forward */
}

static void free_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void http_deadline_free(struct http_deadline **deadline)
{
    if (!*deadline)
        return;
    uv_close((uv_handle_t *)&(*deadline)->timer, free_closed);
    *deadline = NULL;
}
