/* The tools there are, as the tools service told last: asked for when the broker connects, every ten seconds, and when
 * a call finds that one is gone. */
#ifndef PARLEY_TOOLBOX_H
#define PARLEY_TOOLBOX_H

#include "alarm.h"
#include "bus.h"
#include "job.pb-c.h"
#include "provider.h"
#include "wire.h"

struct toolbox;

/* All lent until toolbox_free(). Nothing is asked before the first toolbox_refresh(). */
struct toolbox *toolbox_new(struct bus *bus, struct alarms *alarms, struct wire_arena *arena);
void toolbox_free(struct toolbox **toolbox);

/* Asks now. While nobody answers, what was known stays: a call then fails with an honest error. */
void toolbox_refresh(struct toolbox *toolbox);

/* The tools this job may use: those its persona allows, if it wants any. The array is the caller's to free(); what it
 * points to is lent until the loop's next turn. NULL for none. */
struct prompt_tool *toolbox_offer(const struct toolbox *toolbox, const Parley__Job *job, size_t *count);
/* Why this job can't call the tool `name`, as a text for the model; NULL where it can. */
const char *toolbox_objection(const struct toolbox *toolbox, const Parley__Job *job, const char *name);

#endif
