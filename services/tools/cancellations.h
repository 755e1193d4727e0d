/* Calls that were cancelled before they came: cancellations go to all processes, on another way than calls, and may be
 * faster. Pure; at most CANCELLATIONS_MAX, the oldest gives way. */
#ifndef PARLEY_CANCELLATIONS_H
#define PARLEY_CANCELLATIONS_H

#include "id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CANCELLATIONS_MAX 4096

struct cancellation {
    char call[ID_HASH_SIZE];
    int64_t until_ms;
};

/* Empty where all is 0. */
struct cancellations {
    struct cancellation ring[CANCELLATIONS_MAX];
    size_t count; /* so far */
};

/* Times are monotonic; `until_ms` never smaller than the one before. */
void cancellations_add(struct cancellations *cancellations, const char *call, int64_t until_ms);
bool cancellations_hold(const struct cancellations *cancellations, const char *call, int64_t now_ms);

#endif
