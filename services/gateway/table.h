/* A hash table from ids to what bears them. Intrusive: the entry lives in the thing itself, so that adding and removing
 * allocate nothing but the table's own growth. Ids of peers are only looked up, never added: the keys are ours. */
#ifndef PARLEY_TABLE_H
#define PARLEY_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table_entry {
    struct table_entry *next;
    const char *key; /* lent as long as the entry is in the table */
    uint32_t hash;
};

struct table {
    struct table_entry **buckets; /* a power of two of them; NULL while empty */
    size_t bucket_count;
    size_t count;
};

void table_deinit(struct table *table); /* the entries are the caller's */
/* The key must not be there yet. */
void table_add(struct table *table, struct table_entry *entry, const char *key);
/* The entry must be there. */
void table_remove(struct table *table, struct table_entry *entry);
struct table_entry *table_find(const struct table *table, const char *key); /* NULL: none */

#endif
