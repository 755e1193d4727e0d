/* Where in a JSON text a value stands: as it is written ("pipelines[1].uuid"), and on which line it begins. Pure. */
#ifndef PARLEY_CONFIG_PLACE_H
#define PARLEY_CONFIG_PLACE_H

#include "buf.h"

#include <stddef.h>

/* A chain from a value outwards, on the stack of whoever walks the JSON. All lent. */
struct config_place {
    const struct config_place *parent; /* NULL: this is the whole text */
    const char *key;                   /* a member of the parent; NULL: its element `index` */
    size_t index;
};

/* Appends the place as it is written; of the whole text nothing. */
void config_place_append(struct buf *out, const struct config_place *place);

/* From 1. `text` is valid JSON, and ends with a zero byte. Of what is not there (it is missing, or its key is written
 * with escapes), the line of what it would stand in. */
size_t config_place_line(const char *text, const struct config_place *place);

#endif
