#include "table.h"

#include "mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS 64

/* FNV-1a. The keys in the table are random ids of our own making, so nobody outside can choose collisions. */
static uint32_t hash_of(const char *key)
{
    uint32_t hash = 2166136261u;
    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 16777619u;
    return hash;
}

static struct table_entry **slot_of(const struct table *table, uint32_t hash)
{
    return &table->buckets[hash & (table->bucket_count - 1)];
}

void table_deinit(struct table *table)
{
    free(table->buckets);
    *table = (struct table){0};
}

static void link_entry(struct table *table, struct table_entry *entry)
{
    struct table_entry **slot = slot_of(table, entry->hash);
    entry->next = *slot;
    *slot = entry;
}

static void grow(struct table *table)
{
    struct table old = *table;
    table->bucket_count = old.bucket_count ? old.bucket_count * 2 : FIRST_BUCKETS;
    table->buckets = mem_alloc(table->bucket_count * sizeof *table->buckets);
    for (size_t i = 0; i < old.bucket_count; i++) {
        for (struct table_entry *entry = old.buckets[i], *next; entry; entry = next) {
            next = entry->next;
            link_entry(table, entry);
        }
    }
    free(old.buckets);
}

void table_add(struct table *table, struct table_entry *entry, const char *key)
{
    assert(!table_find(table, key));
    if (table->count >= table->bucket_count)
        grow(table);
    entry->key = key;
    entry->hash = hash_of(key);
    link_entry(table, entry);
    table->count++;
}

void table_remove(struct table *table, struct table_entry *entry)
{
    struct table_entry **at = slot_of(table, entry->hash);
    while (*at != entry) {
        assert(*at);
        at = &(*at)->next;
    }
    *at = entry->next;
    table->count--;
}

struct table_entry *table_find(const struct table *table, const char *key)
{
    if (!table->buckets)
        return NULL;
    uint32_t hash = hash_of(key);
    for (struct table_entry *entry = *slot_of(table, hash); entry; entry = entry->next)
        if (entry->hash == hash && strcmp(entry->key, key) == 0)
            return entry;
    return NULL;
}
