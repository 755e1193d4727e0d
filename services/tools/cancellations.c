#include "cancellations.h"

#include <string.h>

void cancellations_add(struct cancellations *cancellations, const char *call, int64_t until_ms)
{
    struct cancellation *cancellation = &cancellations->ring[cancellations->count++ % CANCELLATIONS_MAX];
    id_hash(call, strlen(call), cancellation->call);
    cancellation->until_ms = until_ms;
}

/* Looks from the newest to the first that is too old. */
bool cancellations_hold(const struct cancellations *cancellations, const char *call, int64_t now_ms)
{
    char hash[ID_HASH_SIZE];
    size_t count = cancellations->count;
    size_t oldest = count > CANCELLATIONS_MAX ? count - CANCELLATIONS_MAX : 0;
    if (count == 0)
        return false;
    id_hash(call, strlen(call), hash);
    for (size_t i = count; i > oldest; i--) {
        const struct cancellation *cancellation = &cancellations->ring[(i - 1) % CANCELLATIONS_MAX];
        if (cancellation->until_ms <= now_ms)
            return false;
        if (strcmp(cancellation->call, hash) == 0)
            return true;
    }
    return false;
}
