/* A turn's record in the turns bucket, kept at most an interval behind the transcript. One write is under way at a
 * time; text and packed steps go into segments of a fixed size, each written once and before the record that counts it.
 * The last record, the sealed one, has all steps in itself, so that its readers need nothing else.
 *
 * The record is ours as long as nobody else has written it. Where a write finds it changed, it is read: if it still
 * names our attempt, a write of ours had been done after all (or somebody left a cancellation there), else the turn is
 * another's. Other errors are tried again for as long as the turn lives. */
#ifndef PARLEY_CHECKPOINT_H
#define PARLEY_CHECKPOINT_H

#include "alarm.h"
#include "bus.h"
#include "metrics.h"
#include "transcript.h"
#include "wire.h"

struct checkpoint_options { /* all lent until checkpoint_free() */
    struct bus *bus;
    struct alarms *alarms;
    struct wire_arena *arena;
    const struct transcript *transcript;
    const char *turn;
    const char *vendor, *model;
    uint32_t attempt;
    uint64_t message_id;
    int64_t started_ms; /* Unix milliseconds, of the first attempt */
    int64_t interval_ms;
    struct metric *writes; /* of records */
};

/* Called from the loop, never from within the functions below; each may free the checkpoint. */
struct checkpoint_handlers {
    void (*lost)(void *arg);            /* another attempt has the turn; nothing is written any more */
    void (*cancel_asked)(void *arg);    /* somebody left that in the record, not finding us */
    void (*written)(void *arg);         /* the record holds all that the transcript holds now, and its state */
    void (*failed)(void *arg, int err); /* a write failed; it is tried again, unless err is ERR_TOO_LARGE */
};

struct checkpoint;

/* `revision` is that of our claim. The first `segments` segments are written already, and hold what the transcript's
 * text begins with; so are all that its packed steps fill. */
struct checkpoint *checkpoint_new(const struct checkpoint_options *options, uint64_t revision, uint32_t segments,
                                  const struct checkpoint_handlers *handlers, void *arg);
void checkpoint_free(struct checkpoint **checkpoint); /* NULL inside is allowed */

/* The transcript has changed: written within the interval. Cheap: to be called for every token. */
void checkpoint_touch(struct checkpoint *checkpoint);
/* Written now, or when the write under way is done. */
void checkpoint_hurry(struct checkpoint *checkpoint);
/* The last write: with this final state, and the reason (lent) where it failed. */
void checkpoint_seal(struct checkpoint *checkpoint, Parley__TurnState state, const char *reason);

#endif
