/* A question that a router has taken (on_ask.c), from its command to its end. */
#ifndef PARLEY_ASK_H
#define PARLEY_ASK_H

#include "buf.h"
#include "change.h"
#include "id.h"
#include "router.h"

/* A question on its way: into its conversation, where that is to hold it from now on, and into the stream. */
struct ask {
    struct command command; /* first */
    char turn[ID_TOKEN_MAX + 1];
    char connection[ID_TOKEN_MAX + 1];
    int64_t asked_ms, deadline_ms, start_deadline_ms;
    char *apology;  /* NULL: none */
    struct buf job; /* packed */

    /* In a room that counts its messages. */
    struct buf message; /* the Ask itself, packed; else empty */
    struct change change;
    uint64_t question_id, answer_id; /* 0: none, or not yet */
    bool known;                      /* it was there already when we came */
    bool late;
};

/* Its client has been told that it failed: where it stands in its conversation, it no longer waits for an answer there.
 * Goes on trying for a while where the store can't be reached. Ends the ask. */
void ask_take_back(struct ask *ask);
/* The same where the store did not say whether it has taken the job: first the turn is marked as cancelled. */
void ask_withdraw(struct ask *ask);

#endif
