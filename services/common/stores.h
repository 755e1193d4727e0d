/* The streams and buckets of an installation, with their limits: one table, made by whichever service comes first. */
#ifndef PARLEY_STORES_H
#define PARLEY_STORES_H

#include "service.h"
#include "store.h"

#define STORE_TIMEOUT_MS 5000 /* for one request to the store */

/* What one job, record or conversation may take, key and headers included. The broker's max_payload must not be lower
 * (deploy/nats), and whoever writes keeps below it. */
#define STORE_MESSAGE_MAX_BYTES (8 << 20)

#define STORES_STREAM_SIZE 64 /* for a name, with its NUL */

/* One run through the table, in the caller's memory. Its fields are private. */
struct stores_run {
    struct bus *bus;
    const struct common_settings *settings;
    store_done *done;
    void *arg;
    size_t at; /* the row under way */
};

/* Makes them all, one after the other, or reports the first that fails. `run` and `settings` are lent until `done` is
 * called, or the bus is freed; `done` is called once. */
void stores_ensure(struct stores_run *run, struct bus *bus, const struct common_settings *settings, store_done *done,
                   void *arg);
/* Of the stream or bucket that is being made, or that failed: for the log. */
const char *stores_current(const struct stores_run *run);

/* The stream behind a row of the table, from 0: "JOBS", "KV_parley_turns". False beyond the last. */
bool stores_stream(size_t row, char out[static STORES_STREAM_SIZE]);

#endif
