/* A table of slots. An id is a slot's number and how often it has been used, so that a reply is found at once and a
 * late one finds nobody. One timer, set to the earliest deadline there was when it was last looked for: a request that
 * ends early leaves it as it is, and the timer then finds nothing to do. */
#include "bus_request.h"

#include "mem.h"

#include <assert.h>
#include <stdlib.h>

#define NO_SLOT UINT32_MAX

struct bus_request {
    struct bus_requests *requests;
    uint64_t id;
    int64_t deadline_ms; /* of uv_now() */
    struct bus_waiting waiting;
};

struct slot {
    struct bus_request *request; /* NULL: free */
    uint32_t uses;
    uint32_t next_free;
};

struct bus_requests {
    uv_timer_t timer;
    int64_t timer_at_ms; /* INT64_MAX: not running */
    struct slot *slots;
    uint32_t slot_count;
    uint32_t first_free;
    size_t count;
};

struct bus_requests *bus_requests_new(uv_loop_t *loop)
{
    struct bus_requests *requests = mem_alloc(sizeof *requests);
    uv_timer_init(loop, &requests->timer);
    requests->timer.data = requests;
    requests->timer_at_ms = INT64_MAX;
    requests->first_free = NO_SLOT;
    return requests;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

size_t bus_requests_count(const struct bus_requests *requests)
{
    return requests->count;
}

/* ---- Slots */

static void more_slots(struct bus_requests *requests)
{
    uint32_t old = requests->slot_count;
    uint32_t count = old ? old * 2 : 64;
    requests->slots = mem_realloc(requests->slots, count * sizeof *requests->slots);
    for (uint32_t i = count; i-- > old;) {
        requests->slots[i] = (struct slot){.next_free = requests->first_free};
        requests->first_free = i;
    }
    requests->slot_count = count;
}

static struct bus_request *find(const struct bus_requests *requests, uint64_t id)
{
    uint32_t number = (uint32_t)id;
    if (number >= requests->slot_count)
        return NULL;
    struct bus_request *request = requests->slots[number].request;
    return request && request->id == id ? request : NULL;
}

/* Takes it out of its slot. */
static void take(struct bus_request *request)
{
    struct bus_requests *requests = request->requests;
    uint32_t number = (uint32_t)request->id;
    struct slot *slot = &requests->slots[number];
    slot->request = NULL;
    slot->next_free = requests->first_free;
    requests->first_free = number;
    requests->count--;
    if (request->waiting.owner)
        *request->waiting.owner = NULL;
}

static void end(struct bus_request *request, int err, const struct bus_message *reply)
{
    struct bus_waiting waiting = request->waiting;
    take(request);
    free(request);
    waiting.handler(waiting.arg, err, reply);
}

/* ---- Time */

static void on_timer(uv_timer_t *timer);

static void set_timer(struct bus_requests *requests, int64_t at_ms)
{
    if (at_ms >= requests->timer_at_ms)
        return;
    int64_t now = (int64_t)uv_now(requests->timer.loop);
    requests->timer_at_ms = at_ms;
    uv_timer_start(&requests->timer, on_timer, at_ms > now ? (uint64_t)(at_ms - now) : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct bus_requests *requests = timer->data;
    int64_t now = (int64_t)uv_now(timer->loop);
    int64_t next = INT64_MAX;
    requests->timer_at_ms = INT64_MAX;
    for (uint32_t i = 0; i < requests->slot_count; i++) { /* handlers may make new ones */
        struct bus_request *request = requests->slots[i].request;
        if (request && request->deadline_ms <= now)
            end(request, request->waiting.timeout_err, NULL);
        else if (request && request->deadline_ms < next)
            next = request->deadline_ms;
    }
    if (next < INT64_MAX)
        set_timer(requests, next);
}

/* ---- */

uint64_t bus_requests_add(struct bus_requests *requests, const struct bus_waiting *waiting)
{
    if (requests->first_free == NO_SLOT)
        more_slots(requests);
    uint32_t number = requests->first_free;
    struct slot *slot = &requests->slots[number];
    requests->first_free = slot->next_free;
    struct bus_request *request = mem_alloc(sizeof *request);
    request->requests = requests;
    request->id = (uint64_t)++slot->uses << 32 | number;
    request->deadline_ms = (int64_t)uv_now(requests->timer.loop) + waiting->timeout_ms;
    request->waiting = *waiting;
    slot->request = request;
    requests->count++;
    if (waiting->owner)
        *waiting->owner = request;
    set_timer(requests, request->deadline_ms);
    return request->id;
}

void bus_requests_end(struct bus_requests *requests, uint64_t id, int err, const struct bus_message *reply)
{
    struct bus_request *request = find(requests, id);
    if (request)
        end(request, err, reply);
}

void bus_requests_end_all(struct bus_requests *requests, int err)
{
    for (uint32_t i = 0; i < requests->slot_count; i++) {
        if (requests->slots[i].request)
            end(requests->slots[i].request, err, NULL);
    }
}

static void drop(struct bus_request *request)
{
    take(request);
    free(request);
}

void bus_requests_drop(struct bus_requests *requests, uint64_t id)
{
    struct bus_request *request = find(requests, id);
    if (request)
        drop(request);
}

void bus_request_cancel(struct bus_request **request)
{
    struct bus_request *gone = *request;
    *request = NULL;
    if (gone)
        drop(gone);
}

void bus_requests_free(struct bus_requests **requests)
{
    struct bus_requests *gone = *requests;
    *requests = NULL;
    for (uint32_t i = 0; i < gone->slot_count; i++) {
        struct bus_request *request = gone->slots[i].request;
        if (!request)
            continue;
        struct bus_waiting waiting = request->waiting;
        drop(request);
        if (waiting.forget)
            waiting.forget(waiting.arg);
    }
    free(gone->slots);
    uv_close((uv_handle_t *)&gone->timer, on_closed);
}
