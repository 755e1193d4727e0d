/* Repairing what was lost of an answer on its way: after a gap, after a silence, after the broker was away.
 *
 *   ask the agent that runs it to send on from where we stand (Attach) ---- it answers: events follow
 *        |  nobody runs it, or whoever did is deaf
 *   read the turn's record ---- ended: read the text that we lack, deliver it and the end
 *        |  none, of a turn that is resumed: read its conversation ---- ended there: deliver it
 *        |                                  not there, and asked long ago: it ends as failed
 *        |  not ended, or none
 *   wait: another agent takes it over, or TURN_LOST_TIMEOUT_MS pass (turn.c), asking again after each silence */
#ifndef PARLEY_RECOVER_H
#define PARLEY_RECOVER_H

#include "turn.h"

/* Begins, unless it is under way already or the broker is not reachable. */
void recover_start(struct turn *turn);
/* The turn needs it no more. */
void recover_stop(struct turn *turn);

#endif
