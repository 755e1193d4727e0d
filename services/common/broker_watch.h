/* Watches the connection to the broker: logs each change, and where the service uses the store makes its streams and
 * buckets after every (re)connect, again and again until it succeeds. */
#ifndef PARLEY_BROKER_WATCH_H
#define PARLEY_BROKER_WATCH_H

#include "bus.h"
#include "service.h"

#include <stdbool.h>
#include <uv.h>

struct broker_watch;

struct broker_watch_handlers {
    void (*up)(void *arg);   /* connected, and all streams and buckets stand */
    void (*down)(void *arg); /* no longer; called only after `up` */
};

/* Is the bus's state handler from now on. `settings`: limits of the store; NULL where it is not used. All is lent until
 * broker_watch_free(). */
struct broker_watch *broker_watch_new(uv_loop_t *loop, struct bus *bus, const struct common_settings *settings,
                                      const struct broker_watch_handlers *handlers, void *arg);
/* Why the broker can't be used, lent for ever; NULL: it can. */
const char *broker_watch_reason(const struct broker_watch *watch);
/* After bus_free(): a run through the store may still be under way until then. The loop must run once more. Nulls; NULL
 * inside is allowed. */
void broker_watch_free(struct broker_watch **watch);

#endif
