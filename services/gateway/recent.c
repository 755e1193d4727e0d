#include "recent.h"

/* FNV-1a. Never 0, which marks a free place. */
static uint64_t print_of(const char *id)
{
    uint64_t print = 0xcbf29ce484222325;
    for (; *id; id++)
        print = (print ^ (unsigned char)*id) * 0x100000001b3;
    return print ? print : 1;
}

void recent_add(struct recent *recent, const char *id)
{
    recent->prints[recent->next] = print_of(id);
    recent->next = (recent->next + 1) % RECENT_COUNT;
}

bool recent_has(const struct recent *recent, const char *id)
{
    uint64_t print = print_of(id);
    for (uint32_t i = 0; i < RECENT_COUNT; i++)
        if (recent->prints[i] == print)
            return true;
    return false;
}
