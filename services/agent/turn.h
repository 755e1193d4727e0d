/* One turn: a question, and everything that is done until its answer has ended and is kept. */
#ifndef PARLEY_TURN_H
#define PARLEY_TURN_H

#include "job.pb-c.h"
#include "store.h"

#include <stdbool.h>
#include <stdint.h>

struct agent;
struct turn;

/* Runs the turn, which hangs itself into agent->turns and ends by itself. Takes the delivery; the job, unpacked from
 * it, is lent for the call. `expired`: its start deadline has passed, so it runs only if an attempt has begun it. */
void turn_start(struct agent *agent, const Parley__Job *job, bool expired, struct delivery **delivery);

/* The turn may be gone when these return. */
void turn_cancel(struct turn *turn);
/* To another agent, as it stands, after `delay_ms`. One that is just ending does so instead. */
void turn_give_back(struct turn *turn, int64_t delay_ms);

/* `connection` of `gateway` gets what comes after this position (bytes of text, step events), and all that follows. */
void turn_attach(struct turn *turn, const char *gateway, const char *connection, uint64_t offset, uint32_t steps);
/* Tells the queue that the job is being worked on, and listeners who heard nothing since the last call. */
void turn_at_work(struct turn *turn);

struct turn *turn_next(const struct turn *turn);
/* Stops at once, without a word; the job comes back to some agent later. */
void turn_free(struct turn *turn);

#endif
