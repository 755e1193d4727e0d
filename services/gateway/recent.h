/* The turns that have ended last in a room, so that what is still said of one of them does not begin it again. Pure. */
#ifndef PARLEY_RECENT_H
#define PARLEY_RECENT_H

#include <stdbool.h>
#include <stdint.h>

#define RECENT_COUNT 64

struct recent {
    uint64_t prints[RECENT_COUNT]; /* of ids: two random ones have the same once in 2^64 */
    uint32_t next;
};

/* The oldest makes room. */
void recent_add(struct recent *recent, const char *id);
bool recent_has(const struct recent *recent, const char *id);

#endif
