/* protobuf-c, bounded. An unpacked message and all it holds live in one arena that is used again for the next, so that
 * the way of a token allocates nothing. */
#ifndef PARLEY_WIRE_H
#define PARLEY_WIRE_H

#include "buf.h"
#include "err.h"

#include <protobuf-c/protobuf-c.h>

struct wire_arena; /* one a service is enough: what was unpacked is gone at the next wire_unpack() with the same arena
                    */

/* `limit_bytes`: what one unpacked message may take in memory. */
struct wire_arena *wire_arena_new(size_t limit_bytes);
void wire_arena_free(struct wire_arena **arena);

/* Appends the message to `out`. Texts are `bytes` and may hold U+0000. */
void wire_pack(const ProtobufCMessage *message, struct buf *out);
/* ERR_INVALID: no such message, or more than the arena's limit. `*out` is lent until the arena is used again. `string`
 * fields are ids and names, checked here with utf8_is_name(). */
int wire_unpack(struct wire_arena *arena, const ProtobufCMessageDescriptor *descriptor, const void *data, size_t len,
                void *out_message) MUST_CHECK;

#endif
