/* What the conversation has brought so far. Pure. */
#ifndef PARLEY_MEMORY_H
#define PARLEY_MEMORY_H

#include "chat.h"

/* Appends what the user has said before the last question, as a list; false: nothing. */
bool memory_said_before(const struct chat *chat, bool chinese, struct buf *out);
/* Appends what the user has said just before the last question, shortened; false: nothing. */
bool memory_last_said(const struct chat *chat, struct buf *out);
/* Appends the name that the user gave, up to and with the last question; false: none. */
bool memory_name(const struct chat *chat, struct buf *out);

#endif
