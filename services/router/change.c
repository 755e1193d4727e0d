#include "change.h"

#include "clock.h"
#include "mem.h"
#include "router.h"
#include "store.h"
#include "stores.h"
#include "subjects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TRIES_MAX      100
#define PAUSE_FIRST_MS 4 /* at most, before the second try */
#define PAUSE_MAX_MS   100
#define OUTAGE_MS      250 /* before the next try, where the store can't be reached */
#define GIVE_UP_MS     20000

static void read_conversation(struct change *change);

/* ---- One after the other */

static struct change *at_work_on(const struct router *router, const char *conversation)
{
    struct change *change;
    TAILQ_FOREACH(change, &router->changes, link)
    {
        if (strcmp(change->conversation, conversation) == 0)
            return change;
    }
    return NULL;
}

static void begin(struct change *change)
{
    TAILQ_INSERT_TAIL(&change->router->changes, change, link);
    change->began_ms = clock_monotonic_ms();
    read_conversation(change);
}

/* The first of those that waited is next; the others wait for it. */
static void pass_on(struct change *change)
{
    struct change *next = TAILQ_FIRST(&change->followers);
    TAILQ_REMOVE(&change->router->changes, change, link);
    if (!next)
        return;
    TAILQ_REMOVE(&change->followers, next, link);
    TAILQ_CONCAT(&next->followers, &change->followers, link);
    begin(next);
}

static void end(struct change *change, int err)
{
    pass_on(change);
    change->handlers->done(change->arg, err);
}

/* ---- Again */

static void on_closed(uv_handle_t *pause)
{
    free(pause);
}

void change_stop(struct change *change)
{
    if (change->pause)
        uv_close((uv_handle_t *)change->pause, on_closed);
    change->pause = NULL;
}

static void on_pause_over(uv_timer_t *timer)
{
    struct change *change = timer->data;
    change_stop(change);
    read_conversation(change);
}

/* Any number below `bound`; a bad one would only make for a worse pause. */
static uint64_t pick(uint64_t bound)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random = (uint32_t)uv_hrtime();
    return random % bound;
}

static bool is_outage(int err)
{
    return err == ERR_DISCONNECTED || err == ERR_NO_RESPONDERS;
}

static void try_again(struct change *change, int err)
{
    if (change->tries >= TRIES_MAX || clock_monotonic_ms() - change->began_ms > GIVE_UP_MS) {
        end(change, err);
        return;
    }
    if (change->router->stopped)
        return; /* router_free() frees what it is part of */
    uint64_t longest = (uint64_t)PAUSE_FIRST_MS * (uint64_t)change->tries;
    uint64_t pause_ms = is_outage(err) ? OUTAGE_MS : pick(longest < PAUSE_MAX_MS ? longest : PAUSE_MAX_MS);
    change->pause = mem_alloc(sizeof *change->pause);
    uv_timer_init(&change->router->service->loop, change->pause);
    change->pause->data = change;
    uv_timer_start(change->pause, on_pause_over, pause_ms, 0);
}

/* ---- One try */

static void on_written(void *arg, int err, uint64_t revision, bool duplicate)
{
    (void)revision;
    (void)duplicate;
    struct change *change = arg;
    if (err == ERR_CONFLICT)
        metric_add(change->router->metrics.conflicts, 1);
    if (err == ERR_CONFLICT || err == ERR_TIMEOUT || (change->handlers->persistent && is_outage(err)))
        try_again(change, err);
    else
        end(change, err);
}

static void on_read(void *arg, int err, const void *value, size_t len, uint64_t revision)
{
    struct change *change = arg;
    struct buf whole = {0};
    if (err && err != ERR_NOT_FOUND) {
        if (change->handlers->persistent && (err == ERR_TIMEOUT || is_outage(err)))
            try_again(change, err);
        else
            end(change, err);
        return;
    }
    switch (change->handlers->make(change->arg, value, value ? len : 0, &whole)) {
    case CHANGE_WRITE:
        store_put(change->router->service->bus, BUCKET_CONVERSATIONS, change->conversation,
                  value ? revision : STORE_NEW, &whole, STORE_TIMEOUT_MS, on_written, change);
        break;
    case CHANGE_NONE:
        end(change, ERR_NONE);
        break;
    case CHANGE_GIVE_UP:
        end(change, ERR_CANCELLED);
        break;
    }
    buf_deinit(&whole);
}

static void read_conversation(struct change *change)
{
    change->tries++;
    store_get(change->router->service->bus, BUCKET_CONVERSATIONS, change->conversation, STORE_TIMEOUT_MS, on_read,
              change);
}

void change_start(struct router *router, struct change *change, const char *conversation,
                  const struct change_handlers *handlers, void *arg)
{
    *change = (struct change){.router = router, .handlers = handlers, .arg = arg};
    TAILQ_INIT(&change->followers);
    snprintf(change->conversation, sizeof change->conversation, "%s", conversation);
    struct change *before = at_work_on(router, conversation);
    if (before)
        TAILQ_INSERT_TAIL(&before->followers, change, link);
    else
        begin(change);
}
