/* What a gateway holds of one answer, and which of the news about it are news: the guarantee that no text comes twice,
 * none is missing and none is out of order is kept here. Pure: no I/O, no clock.
 *
 * Events bear the attempt that sent them (0: a router) and a place: text its byte offset, tool steps their number. What
 * lies before the place reached is known already; what lies beyond it shows that something was lost (a gap, to be
 * repaired by asking); and what an older attempt says counts no more. Delivered text is never taken back, so an attempt
 * that contradicts it ends the answer. */
#ifndef PARLEY_ANSWER_H
#define PARLEY_ANSWER_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum answer_news {
    ANSWER_KNOWN,    /* or of an older attempt: nothing to do */
    ANSWER_NEW,      /* taken in */
    ANSWER_GAP,      /* something before it is missing; not taken in */
    ANSWER_BROKEN,   /* not what can follow what was delivered; not taken in */
    ANSWER_TOO_LARGE /* not taken in */
};

enum answer_end { ANSWER_OPEN, ANSWER_COMPLETED, ANSWER_FAILED, ANSWER_CANCELLED };

/* A tool call that began, or that ended: each is a step of its own. */
struct answer_step {
    bool finished;
    bool ok;         /* where finished */
    uint64_t offset; /* bytes of text before it; at most the text's length */
    char *call, *name;
    struct buf data; /* arguments; or result, JSON where ok, else a text. Empty where it was too large to keep */
};

struct answer {
    size_t max_bytes; /* of text, and again of the steps' data */
    uint32_t attempt; /* the newest heard of; 0: none */
    bool started;     /* an agent has begun */
    struct buf text;  /* valid UTF-8 */
    struct answer_step *steps;
    uint32_t step_count, step_capacity;
    size_t step_bytes;
    char *vendor, *model; /* NULL: not told yet */
    uint64_t message_id;  /* in a room that counts its messages; 0: none, or not told yet */
    int64_t started_ms;   /* Unix milliseconds; 0: not told yet */
    enum answer_end end;  /* as told; reached only when all before it is there: answer_ended() */
    uint64_t end_length;
    uint32_t end_steps;
    uint64_t gap_length; /* how far something reached that showed a gap */
    uint32_t gap_steps;
    struct buf reason;  /* of a failure, for people; valid UTF-8 */
    struct buf apology; /* to be said in its place; empty: not told. Valid UTF-8 */
};

void answer_init(struct answer *answer, size_t max_bytes);
void answer_deinit(struct answer *answer);

/* To be asked before anything else an event says is looked at: whether its attempt still counts. A newer one takes
 * over. */
bool answer_hear(struct answer *answer, uint32_t attempt) MUST_CHECK;

/* An agent has begun or taken over. What is NULL or "" changes nothing. */
void answer_start(struct answer *answer, const char *vendor, const char *model);
/* What is 0 changes nothing. */
void answer_number(struct answer *answer, uint64_t message_id, int64_t started_ms);
enum answer_news answer_add_text(struct answer *answer, uint64_t offset, const void *text, size_t len) MUST_CHECK;

struct answer_tool {
    uint32_t step; /* from 1 */
    bool finished, ok;
    uint64_t offset;
    const char *call, *name;
    const void *data;
    size_t data_len;
};
enum answer_news answer_add_step(struct answer *answer, const struct answer_tool *tool) MUST_CHECK;
/* The sender stands at this place: ANSWER_GAP if that is further than we have come. */
enum answer_news answer_stands_at(struct answer *answer, uint64_t length, uint32_t steps) MUST_CHECK;

/* The end as its sender tells it. The first one told counts. ANSWER_GAP: something before it is missing; it is
 * remembered, and reached when that has come. */
enum answer_news answer_finish(struct answer *answer, enum answer_end end, uint64_t length, uint32_t steps) MUST_CHECK;
/* A failure's reason; what is no valid UTF-8 of it is replaced. Ignored once the end is told. */
void answer_set_reason(struct answer *answer, const void *reason, size_t len);
/* What is no valid UTF-8 of it is replaced. */
void answer_set_apology(struct answer *answer, const void *apology, size_t len);
/* Ends it here and now, whatever was told before: no more of it will come. */
void answer_finish_here(struct answer *answer, enum answer_end end);

/* Whether the place of any ANSWER_GAP has still to be reached. */
bool answer_has_gap(const struct answer *answer);
/* Whether the end is reached: told, and all before it is there. */
bool answer_ended(const struct answer *answer);

#endif
