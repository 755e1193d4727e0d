/* A list of things that hold a link of it themselves, so that each can leave it by itself. */
#ifndef PARLEY_CHAIN_H
#define PARLEY_CHAIN_H

#include <stddef.h>

struct chain {
    struct chain *next, **at; /* `at`: what points to this one; NULL while in no list */
};

/* The thing that holds a link as its `member`; NULL for none. */
#define OWNER_OF(link, type, member) ((link) ? (type *)(void *)((char *)(link)-offsetof(type, member)) : NULL)

static inline void chain_add(struct chain **list, struct chain *link)
{
    link->next = *list;
    link->at = list;
    if (link->next)
        link->next->at = &link->next;
    *list = link;
}

static inline void chain_remove(struct chain *link)
{
    if (!link->at)
        return;
    *link->at = link->next;
    if (link->next)
        link->next->at = link->at;
    link->at = NULL;
}

static inline size_t chain_count(const struct chain *list)
{
    size_t count = 0;
    for (; list; list = list->next)
        count++;
    return count;
}

#endif
