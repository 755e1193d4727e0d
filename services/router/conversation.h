/* What a conversation remembers, and for how long. Pure: packed bytes in, packed bytes out.
 *
 * In a room that counts its messages a turn is in it from the moment it is asked; elsewhere when it has ended. */
#ifndef PARLEY_CONVERSATION_H
#define PARLEY_CONVERSATION_H

#include "buf.h"
#include "conversation.pb-c.h"
#include "err.h"
#include "wire.h"

#include <stdbool.h>

/* What stands where text was cut away. */
#define CONVERSATION_CUT_MARK " […]"

/* So many of the turns that went last are still known as such: an agent that comes again with one, because it has not
 * heard that it was saved, finds that it was. */
#define CONVERSATION_GONE_MAX 32

struct conversation_limits {
    size_t max_turns; /* at least 1 */
    size_t max_bytes; /* packed; at least 1024 */
};

/* Both make `out` of what is `stored` (packed; NULL and 0: nothing yet) and of `turn`, whose id says which it is, once
 * whatever is repeated: `*changed` is false, and `out` untouched, where nothing has to be done. ERR_INVALID: what is
 * stored can't be read. The arena is used for the stored turns; `turn` must not live in it.
 *
 * Above the limits the oldest turns go, never the newest. Of a turn that is too large by itself its tool steps are left
 * out, then its chain, and then its texts are cut, with a mark. */

/* It has been asked: put at the end, with a message id for the question, and one for the answer unless its state says
 * that none is wanted. Sets both in `turn`, also where it was there already. */
int conversation_ask(struct wire_arena *arena, const void *stored, size_t len, Parley__ConversationTurn *turn,
                     const struct conversation_limits *limits, struct buf *out, bool *changed) MUST_CHECK;

/* It has ended: what was asked before gets answer, state, steps and times; what was not is put at the end. Of a turn
 * with an answer's id that is no longer there nothing is kept: the conversation was reset, or has outgrown it. */
int conversation_end(struct wire_arena *arena, const void *stored, size_t len, const Parley__ConversationTurn *turn,
                     const struct conversation_limits *limits, struct buf *out, bool *changed) MUST_CHECK;

#endif
