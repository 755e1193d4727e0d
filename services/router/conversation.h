/* What a conversation remembers, and for how long. Pure: packed bytes in, packed bytes out. */
#ifndef PARLEY_CONVERSATION_H
#define PARLEY_CONVERSATION_H

#include "buf.h"
#include "conversation.pb-c.h"
#include "err.h"
#include "wire.h"

#include <stdbool.h>

/* What stands where text was cut away. */
#define CONVERSATION_CUT_MARK " […]"

struct conversation_limits {
    size_t max_turns; /* at least 1 */
    size_t max_bytes; /* packed; at least 1024 */
};

/* Puts `turn` at the end of what is `stored` (packed; NULL and 0: nothing yet) and sets `out` to the whole, packed.
 * Above the limits the oldest turns go, never the newest; if that alone is too large, its tool steps are left out, and
 * then its texts are cut, with a mark.
 *
 * `*added` is false, and `out` untouched, where a turn of this id is stored already. ERR_INVALID: what is stored can't
 * be read. The arena is used for the stored turns; `turn` must not live in it. */
int conversation_append(struct wire_arena *arena, const void *stored, size_t len, const Parley__ConversationTurn *turn,
                        const struct conversation_limits *limits, struct buf *out, bool *added) MUST_CHECK;

#endif
