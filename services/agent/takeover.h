/* Going on with a turn that another attempt has begun: its text and steps are read back from the checkpoint, and
 * gateways are asked what clients already have, for that must neither be taken back nor said again. First all of them,
 * as a client may have moved and a room has members anywhere; what comes within a moment counts. Then the one through
 * which it was asked, which is waited for and has the last word. */
#ifndef PARLEY_TAKEOVER_H
#define PARLEY_TAKEOVER_H

#include "alarm.h"
#include "bus.h"
#include "transcript.h"
#include "wire.h"

struct takeover_options { /* all lent until it has ended */
    struct bus *bus;
    struct alarms *alarms;
    struct wire_arena *arena;
    const char *turn;
    uint32_t attempt;    /* ours */
    const char *gateway; /* through which it was asked; NULL: none is asked */
    struct transcript *transcript;
};

struct takeover_result {
    int err;           /* ERR_NOT_FOUND: text is missing that the record tells of, and no gateway has it either, or
                          steps are; ERR_INVALID: it is no text; any other: store or broker can't be reached */
    uint32_t segments; /* written ones that hold what the transcript's text begins with */
    size_t sent;       /* what that gateway has: bytes of text, */
    uint32_t steps;    /* and step events */
};

struct takeover;
typedef void takeover_handler(void *arg, const struct takeover_result *result);

/* Fills the transcript, which is empty. Takes `record`, packed as it was read. `*takeover` is the caller's; it is
 * nulled before the handler runs, which may be from within this. */
void takeover_start(const struct takeover_options *options, struct buf *record, takeover_handler *done, void *arg,
                    struct takeover **takeover);
void takeover_cancel(struct takeover **takeover); /* nulls; NULL inside is allowed */

enum takeover_choice {
    TAKEOVER_RECORDED, /* it is the longer one */
    TAKEOVER_EXTENDED, /* what was delivered begins with what was recorded, and is longer */
    TAKEOVER_REPLACED  /* they differ: what was delivered can't be taken back */
};
enum takeover_choice takeover_choose(const struct buf *recorded, const void *delivered, size_t len);

#endif
