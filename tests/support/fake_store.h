/* A store for tests of one module: keys with revisions that count through the bucket. What is asked of it waits until
 * fake_store_step(). */
#ifndef PARLEY_TEST_FAKE_STORE_H
#define PARLEY_TEST_FAKE_STORE_H

#include "store.h"

#define FAKE_STORE_KEYS 32

struct fake_entry {
    char key[192];
    struct buf value;
    uint64_t revision;
};

extern struct fake_entry fake_entries[FAKE_STORE_KEYS];
extern size_t fake_puts, fake_gets; /* how many were asked */
/* The next write answers this; where `fake_put_done`, it is done all the same. */
extern int fake_put_error;
extern bool fake_put_done;

void fake_store_reset(void);
struct fake_entry *fake_store_find(const char *key); /* NULL: not there */
void fake_store_write(const char *key, const void *value, size_t len);
size_t fake_store_waiting(void);
/* Does the oldest thing asked for; false if there is none. */
bool fake_store_step(void);
void fake_store_run(void);

#endif
