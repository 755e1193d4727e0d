/*
 *          connected           all made
 *   DOWN ------------> MAKING -----------> UP
 *    ^                  |  ^ \               |     where no store is used, connected leads straight to UP
 *    |                  |  +--+ failed, later |
 *    +------------------+---------------------+
 *                         lost
 *
 * A run through the store can outlast the connection in which it began. Its end then tells nothing about the broker
 * that is there now: another one is begun.
 */
#include "broker_watch.h"

#include "log.h"
#include "mem.h"
#include "stores.h"

#include <stdlib.h>

#define RETRY_FIRST_MS 100
#define RETRY_MAX_MS   5000

enum state { DOWN, MAKING, UP };

struct broker_watch {
    struct bus *bus;
    const struct common_settings *settings; /* NULL: no store */
    const struct broker_watch_handlers *handlers;
    void *arg;
    enum state state;
    uv_timer_t timer; /* to the next try */
    uint64_t retry_ms;
    struct stores_run run;
    bool running;  /* `run` is lent to the store */
    bool outdated; /* the connection was lost since the run began */
    bool failed;   /* the last run did: its success is worth a line */
};

static void make_stores(struct broker_watch *watch);

static void on_timer(uv_timer_t *timer)
{
    make_stores(timer->data);
}

static void retry_later(struct broker_watch *watch, int err)
{
    /* Said at each try: the tries grow rare soon. */
    log_warning("streams and buckets could not be made", LOG_TEXT("stream", stores_current(&watch->run)), LOG_ERR(err),
                LOG_INT("retry_ms", watch->retry_ms));
    watch->failed = true;
    uv_timer_start(&watch->timer, on_timer, watch->retry_ms, 0);
    watch->retry_ms = watch->retry_ms * 2 < RETRY_MAX_MS ? watch->retry_ms * 2 : RETRY_MAX_MS;
}

static void set_up(struct broker_watch *watch)
{
    watch->state = UP;
    watch->retry_ms = RETRY_FIRST_MS;
    watch->handlers->up(watch->arg);
}

static void on_stores_made(void *arg, int err)
{
    struct broker_watch *watch = arg;
    watch->running = false;
    if (watch->state != MAKING)
        return;
    if (watch->outdated) {
        make_stores(watch);
    } else if (err) {
        retry_later(watch, err);
    } else {
        if (watch->failed)
            log_info("streams and buckets stand");
        watch->failed = false;
        set_up(watch);
    }
}

static void make_stores(struct broker_watch *watch)
{
    if (watch->running)
        return;
    watch->running = true;
    watch->outdated = false;
    stores_ensure(&watch->run, watch->bus, watch->settings, on_stores_made, watch);
}

static void on_connected(struct broker_watch *watch)
{
    log_info("broker connected");
    if (!watch->settings) {
        set_up(watch);
        return;
    }
    watch->state = MAKING;
    watch->retry_ms = RETRY_FIRST_MS;
    make_stores(watch);
}

static void on_lost(struct broker_watch *watch)
{
    bool was_up = watch->state == UP;
    log_warning("broker connection lost");
    watch->state = DOWN;
    watch->outdated = true;
    uv_timer_stop(&watch->timer);
    if (was_up)
        watch->handlers->down(watch->arg);
}

static void on_state(void *arg, bool connected)
{
    struct broker_watch *watch = arg;
    if (connected && watch->state == DOWN)
        on_connected(watch);
    else if (!connected && watch->state != DOWN)
        on_lost(watch);
}

struct broker_watch *broker_watch_new(uv_loop_t *loop, struct bus *bus, const struct common_settings *settings,
                                      const struct broker_watch_handlers *handlers, void *arg)
{
    struct broker_watch *watch = mem_alloc(sizeof *watch);
    *watch = (struct broker_watch){
        .bus = bus, .settings = settings, .handlers = handlers, .arg = arg, .retry_ms = RETRY_FIRST_MS};
    uv_timer_init(loop, &watch->timer);
    watch->timer.data = watch;
    bus_on_state(bus, on_state, watch);
    return watch;
}

const char *broker_watch_reason(const struct broker_watch *watch)
{
    switch (watch->state) {
    case DOWN:
        return "the message broker is not connected";
    case MAKING:
        return "streams and buckets are not there yet";
    case UP:
        break;
    }
    return NULL;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void broker_watch_free(struct broker_watch **watch)
{
    if (*watch)
        uv_close((uv_handle_t *)&(*watch)->timer, on_closed);
    *watch = NULL;
}
