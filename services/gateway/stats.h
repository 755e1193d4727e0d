/* How many connections there are, and which, on all gateways together: each is asked, and what has come when all that
 * are known have answered, or after STATS_WAIT_MS, is what there is.
 *
 * A gateway knows the others by their answers and by their questions; each asks once when it has come to the broker, so
 * that all know each other. One that does not answer in time is not waited for any more, until it is heard of again. */
#ifndef PARLEY_STATS_H
#define PARLEY_STATS_H

#include "dialect_rest.h"
#include "gateway.h"

#define STATS_WAIT_MS 300

/* Of one dialect. Counts are added up, but for `uptime_seconds`: that of the gateway that runs the longest. */
struct stats {
    struct dialect_counts counts;
    struct dialect_connection *list; /* in no order; all texts belong to it */
    size_t count, capacity;
};

struct gather;
/* `stats` is lent until it returns. */
typedef void stats_done(void *arg, const struct stats *stats);

/* Called once; where there is nobody to wait for, before this returns. `*gather` is NULL by then. */
void stats_gather(struct gateway *gateway, const struct dialect *dialect, bool connections, stats_done *done, void *arg,
                  struct gather **gather);
/* `done` is not called any more. NULL inside is allowed; NULLs the pointer. */
void stats_forget(struct gather **gather);

/* Makes itself known to the others, and asks who they are. */
void stats_greet(struct gateway *gateway);
/* Ends those that have waited for long enough. */
void stats_tick(struct gateway *gateway, int64_t now_ms);
void stats_free_all(struct gateway *gateway);

/* What this gateway has to say: appended to the stats; `dialect` NULL: of all. */
void stats_add_own(struct gateway *gateway, const struct dialect *dialect, bool connections, struct stats *stats);
void stats_deinit(struct stats *stats);

#endif
