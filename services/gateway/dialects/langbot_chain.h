/* LangBot's message chains: what a message is made of. JSON arrays of components, objects with a `type`:
 *
 *   Plain{text}, At{target,display?}, AtAll, Image{url?,path?,base64?}, Voice{url?,path?,base64?},
 *   File{name?,size?,url?,path?}, Quote{origin}, Source, Forward, Unknown{text}
 *
 * A component of any other type is kept as it is and counts as unknown; so are fields of any other name. */
#ifndef PARLEY_LANGBOT_CHAIN_H
#define PARLEY_LANGBOT_CHAIN_H

#include "buf.h"

#include <jansson.h>
#include <stdbool.h>

/* Whether it is a chain whose components have the fields they need, of the right types. NULL is none. */
bool langbot_chain_valid(const json_t *chain);
/* What a person reads of a valid chain, as text. */
void langbot_chain_append_text(const json_t *chain, struct buf *out);
/* Whether a valid chain has an At with this target; what it quotes does not count. */
bool langbot_chain_mentions(const json_t *chain, const char *target);

#endif
