/* What a turn's state (proto/turn.proto) means. */
#ifndef PARLEY_TURN_STATE_H
#define PARLEY_TURN_STATE_H

#include "turn.pb-c.h"

#include <stdbool.h>

/* Whether the turn has ended: nothing more comes of it. */
static inline bool turn_state_is_final(Parley__TurnState state)
{
    return state == PARLEY__TURN_STATE__TURN_STATE_COMPLETED || state == PARLEY__TURN_STATE__TURN_STATE_FAILED ||
           state == PARLEY__TURN_STATE__TURN_STATE_CANCELLED;
}

#endif
