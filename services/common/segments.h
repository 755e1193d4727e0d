/* How what grows of a turn under way is kept in the turns bucket, its text and its packed steps: what fills segments of
 * one fixed size stands under a key of its own each, written once; the rest stands in the turn's record
 * (proto/turn.proto), which counts them. */
#ifndef PARLEY_SEGMENTS_H
#define PARLEY_SEGMENTS_H

#include "buf.h"
#include "bus.h"

#include <stdint.h>

#define SEGMENT_BYTES    (32u * 1024)
#define SEGMENT_KEY_SIZE 80

enum segmented { SEGMENTED_TEXT, SEGMENTED_STEPS };

/* Of segment `number`, from 0. */
void segment_key(const char *turn, enum segmented what, uint32_t number, char out[SEGMENT_KEY_SIZE]);

struct segments_reading;
/* ERR_NOT_FOUND: one is missing, or not full. Those before it have been read. */
typedef void segments_handler(void *arg, int err);

/* Appends the segments from `first` up to, but without, `end` to `out`. It and `turn` are lent until it has ended.
 * `*reading` is the caller's; it is nulled before the handler runs, which is within this where there is none to read.
 */
void segments_read(struct bus *bus, const char *turn, enum segmented what, uint32_t first, uint32_t end,
                   struct buf *out, segments_handler *done, void *arg, struct segments_reading **reading);
void segments_cancel(struct segments_reading **reading); /* nulls; NULL inside is allowed */

#endif
