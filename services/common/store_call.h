/* Reads and writes of the store that their caller may walk away from: store_get() and store_put() call back whatever
 * has become of who asked. */
#ifndef PARLEY_STORE_CALL_H
#define PARLEY_STORE_CALL_H

#include "store.h"

struct store_call;

/* `*call` is the caller's; it is nulled before the handler runs. */
void store_call_get(struct bus *bus, const char *bucket, const char *key, store_read *done, void *arg,
                    struct store_call **call);
/* Takes the value. A write walked away from may still be done. */
void store_call_put(struct bus *bus, const char *bucket, const char *key, uint64_t expected, struct buf *value,
                    store_written *done, void *arg, struct store_call **call);
/* The handler will not be called. Nulls; NULL inside is allowed. */
void store_call_forget(struct store_call **call);

#endif
