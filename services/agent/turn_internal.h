/* What turn.c, turn_begin.c, turn_answer.c and turn_end.c share. Callbacks record what happened in a turn's fields, and
 * call turn_tick(), which is the only one to change the phase. */
#ifndef PARLEY_TURN_INTERNAL_H
#define PARLEY_TURN_INTERNAL_H

#include "agent.h"
#include "checkpoint.h"
#include "claim.h"
#include "report.h"
#include "splice.h"
#include "store_call.h"
#include "takeover.h"
#include "tool_round.h"
#include "turn.h"
#include "turn_phase.h"

struct turn {
    struct agent *agent;
    struct turn *prev, *next;
    enum turn_phase phase;
    bool ticking;

    char id[ID_TOKEN_MAX + 1], gateway[ID_TOKEN_MAX + 1], connection[ID_TOKEN_MAX + 1];
    char room[ID_TOKEN_MAX + 1];             /* empty: only the gateway listens */
    char conversation_key[ID_TOKEN_MAX + 1]; /* in the bucket */
    uint64_t message_id;                     /* of the answer, in a room that counts its messages; 0: none */
    char *model;
    struct trace trace;
    uint32_t attempt;
    int64_t began_ms;   /* monotonic */
    int64_t started_ms; /* Unix milliseconds, of the first attempt */
    struct delivery *delivery;
    struct bus_subscription *control;

    struct transcript transcript;
    struct voice voice;
    struct buf conversation; /* as stored */

    /* What is under way. */
    struct claim *claim;
    struct takeover *takeover;
    struct store_call *history;
    struct checkpoint *checkpoint; /* from the moment the turn is ours and rebuilt */
    struct completion *completion;
    struct splice splice; /* while `splicing`: how its words join what was said */
    struct tool_round *round;
    struct report *report;
    struct alarm alarm; /* the end of patience, in the phases that have one */

    /* What has happened. */
    bool claimed;
    uint64_t revision; /* of the claim */
    struct buf record; /* what an earlier attempt left, packed; empty: nothing */
    bool ended_before; /* an earlier attempt had ended it */
    bool started;      /* said so */
    bool rebuilt;      /* the transcript holds what earlier attempts said and did */
    bool conversation_read;
    bool first_token;
    bool splicing;
    bool store_complained; /* logged once a turn */
    int64_t resumes;
    struct provider_usage usage;
    Parley__TurnState end; /* UNKNOWN while it goes on */
    struct buf reason;     /* where it failed, a C string */
    struct buf apology;    /* what its client may be told in its place; empty: not said */
    int64_t save_deadline_ms;
    bool sealed;     /* the final record is written, or will never be */
    bool unsealed;   /* … the latter */
    bool reported;   /* the conversation has it, or need not or can't */
    bool unreported; /* … the last */
    bool announced;
    bool returning;
    int64_t return_delay_ms;
    bool flushed; /* … and its last checkpoint is written, or won't be */
    bool lost;    /* it is another's, or nobody's */
};

void turn_tick(struct turn *turn);
/* Decides how the turn ends, unless that is decided; turn_tick() does the rest. */
void turn_fail(struct turn *turn, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The turn's job, in the agent's arena for it: lent until this is called for any turn. Each call unpacks all of it,
 * with images of maybe megabytes: what is asked for often is among the turn's fields. */
const Parley__Job *turn_job(const struct turn *turn);

/* Whoever waits for the answer gets what comes after this position. */
void turn_speak_from(struct turn *turn, size_t sent, uint32_t steps);

/* turn_begin.c */
void turn_greet(struct turn *turn, const char *gateway); /* with Started, where that was said already */
void turn_claim(struct turn *turn, bool expired);
void turn_enter_loading(struct turn *turn);
/* turn_answer.c */
void turn_enter_answering(struct turn *turn);
void turn_enter_calling(struct turn *turn);
/* turn_end.c */
void turn_enter_sealing(struct turn *turn);
void turn_enter_reporting(struct turn *turn);
void turn_enter_announcing(struct turn *turn);
void turn_enter_returning(struct turn *turn);
/* The checkpoint's `written` and `failed`. */
void turn_on_written(void *turn);
void turn_on_write_failed(void *turn, int err);

#endif
