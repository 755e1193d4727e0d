/* Making a turn's record one's own, by compare-and-set: the older attempt's next checkpoint finds it changed, and
 * stops. Reads first, so that what others left there is seen: a cancellation, an end, another attempt's work. */
#ifndef PARLEY_CLAIM_H
#define PARLEY_CLAIM_H

#include "bus.h"
#include "turn.pb-c.h"
#include "wire.h"

enum claim_verdict {
    CLAIM_TAKEN,   /* it is ours */
    CLAIM_ENDED,   /* the turn has ended in an earlier attempt; nothing was written */
    CLAIM_NEWER,   /* a later attempt has it */
    CLAIM_EXPIRED, /* nobody began it in time: its asker has been told that it failed, and no conversation waits for
                      its end */
    CLAIM_FAILED   /* the store did not do it, or holds something else: see `err` */
};

struct claim_options { /* all lent until it has ended */
    struct bus *bus;
    struct wire_arena *arena;
    const char *turn;
    const char *vendor, *model;
    uint32_t attempt;    /* the count of the job's deliveries */
    uint64_t message_id; /* of the answer; 0: no conversation waits for it */
    int64_t started_ms;  /* Unix milliseconds; for the record of a first attempt */
    bool expired;        /* its start deadline has passed */
};

struct claim_result {
    enum claim_verdict verdict;
    int err;
    uint64_t revision;                /* of our record, where taken */
    const Parley__TurnRecord *before; /* what was there; NULL: nothing. Lent until the handler returns or the arena is
                                         used again */
    struct buf *packed;               /* the same, packed; may be taken with buf_move() */
};

struct claim;
/* Called once, unless cancelled; the claim is gone by then. */
typedef void claim_handler(void *arg, const struct claim_result *result);

/* `*claim` is the caller's; it is nulled before the handler runs, which is never from within this. */
void claim_start(const struct claim_options *options, claim_handler *done, void *arg, struct claim **claim);
void claim_cancel(struct claim **claim); /* nulls; NULL inside is allowed */

#endif
