/* Handing a finished turn to a router, the only writer of conversations: again and again until one has stored it (it
 * stores a turn once, however often it is told), or the time is up. */
#ifndef PARLEY_REPORT_H
#define PARLEY_REPORT_H

#include "alarm.h"
#include "bus.h"
#include "trace.h"
#include "wire.h"

struct report_options { /* all lent until it has ended */
    struct bus *bus;
    struct alarms *alarms;
    struct wire_arena *arena;
    void (*pack)(void *arg, struct buf *out); /* appends the TurnDone, once a try */
    const struct trace *trace;                /* NULL: none */
    int64_t deadline_ms; /* monotonic, put off for as long as there is no broker; there is always one try */
};

struct report;
/* `err` ERR_NONE: stored. Called once unless cancelled, and never from within report_start(). */
typedef void report_handler(void *arg, int err);

/* `*report` is the caller's; it is nulled before the handler runs. `arg` is for both functions. */
void report_start(const struct report_options *options, report_handler *done, void *arg, struct report **report);
void report_cancel(struct report **report); /* nulls; NULL inside is allowed */

#endif
