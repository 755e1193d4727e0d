/* The phases of a turn, and which may follow which. */
#ifndef PARLEY_TURN_PHASE_H
#define PARLEY_TURN_PHASE_H

#include <stdbool.h>

enum turn_phase {
    TURN_CLAIMING,   /* makes the turn's record its own */
    TURN_LOADING,    /* reads the conversation, and what earlier attempts left */
    TURN_ANSWERING,  /* the model speaks */
    TURN_CALLING,    /* tools run */
    TURN_SEALING,    /* writes the final record */
    TURN_REPORTING,  /* hands the finished turn to a router */
    TURN_ANNOUNCING, /* tells the gateways, and acknowledges the job */
    TURN_RETURNING,  /* hands the job back to the queue */
    TURN_GONE,
    TURN_PHASE_COUNT
};

bool turn_phase_may_follow(enum turn_phase from, enum turn_phase to);
const char *turn_phase_name(enum turn_phase phase);

#endif
