/* What a turn's record, or its conversation, says about an answer of which a part was lost. Pure. */
#ifndef PARLEY_RECOVER_RECORD_H
#define PARLEY_RECOVER_RECORD_H

#include "answer.h"

#include "conversation.pb-c.h"
#include "turn.pb-c.h"

/* Whether nothing more will come: it has ended; or its cancellation was asked for and (as nobody runs it) will hold. */
bool recover_has_ended(const Parley__TurnRecord *record);

/* Which of the record's segments is the first that one lacks who knows the answer's first `known` bytes; as many as
 * there are: none. ERR_INVALID: the record's numbers contradict each other. */
int recover_first_segment(const Parley__TurnRecord *record, uint64_t known, uint32_t *out) MUST_CHECK;

/* A record made of what the turn's conversation holds of it, which lends all texts. False: nothing, or it has not ended
 * there. */
bool recover_find_turn(const Parley__Conversation *conversation, const char *turn, Parley__TurnRecord *out) MUST_CHECK;

/* Takes in what an ended turn's record says besides its text: the tool steps that are missing (of one that was
 * cancelled with no agent there, only those of its last round), who answered and when, its number in the room, the end.
 */
void recover_apply_end(struct answer *answer, const Parley__TurnRecord *record);

#endif
