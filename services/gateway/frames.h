/* The frames that a dialect makes for one occasion: none, one or a few. The memory is kept from one occasion to the
 * next, so that a frame of an answer costs no allocation. */
#ifndef PARLEY_FRAMES_H
#define PARLEY_FRAMES_H

#include "buf.h"

#include <jansson.h>
#include <stddef.h>

struct frames {
    struct buf *list; /* those below `count` are frames as web.h wants them */
    size_t count;
    size_t capacity;
};

void frames_deinit(struct frames *frames);
/* Forgets the frames; an unusually large one's memory goes too. */
void frames_reset(struct frames *frames);

/* A new frame, to append JSON to. Lent until the next frames_add(). */
struct buf *frames_add(struct frames *frames);
/* A new frame of this value; takes the reference. */
void frames_add_json(struct frames *frames, json_t *value);

/* Appends a text as a JSON string with its quotes (RFC 8259, section 7). The text is valid UTF-8 and may hold U+0000.
 */
void frames_append_text(struct buf *frame, const char *text, size_t len);
/* Appends Unix seconds, not negative, with microseconds as a JSON number. */
void frames_append_seconds(struct buf *frame, double seconds);

#endif
