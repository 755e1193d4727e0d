/* What a turn's record says about an answer of which a part was lost. Pure. */
#ifndef PARLEY_RECOVER_RECORD_H
#define PARLEY_RECOVER_RECORD_H

#include "answer.h"

#include "turn.pb-c.h"

/* Whether nothing more will come: it has ended; or its cancellation was asked for and (as nobody runs it) will hold. */
bool recover_has_ended(const Parley__TurnRecord *record);

/* Which of the record's segments are needed by one who knows the answer's first `known` bytes: those from `first` on,
 * which begin at byte `offset`. */
struct recover_plan {
    uint32_t first;
    uint64_t offset;
};
/* ERR_INVALID: the record's numbers contradict each other. */
int recover_plan_segments(const Parley__TurnRecord *record, uint64_t known, struct recover_plan *out) MUST_CHECK;

/* Takes in what an ended turn's record says besides its text: the tool steps that are missing, who answered, the end.
 */
void recover_apply_end(struct answer *answer, const Parley__TurnRecord *record);

#endif
