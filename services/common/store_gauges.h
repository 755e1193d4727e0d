/* What the broker says of streams and consumers, as gauges: asked every two seconds, one request at a time, and none
 * while it is away. They stay as they were while nothing is known. */
#ifndef PARLEY_STORE_GAUGES_H
#define PARLEY_STORE_GAUGES_H

#include "bus.h"

struct store_gauges;

/* How many messages of a stream no process has been given yet by a durable consumer. The names are copied; the rest is
 * lent until store_gauges_free(). */
struct store_gauges *store_gauges_of_backlog(struct bus *bus, const char *stream, const char *consumer,
                                             struct metric *pending);
/* How full the streams and buckets are, one after the other: what each holds, and what it may hold. What is full
 * refuses questions, contact requests or conversations, so somebody has to know before. Both are lent until
 * store_gauges_free(); the gauges of a stream are there from its first answer on. */
struct store_gauges *store_gauges_of_fill(struct bus *bus, struct metrics *metrics);

/* NULL inside is allowed. The loop must run once more afterwards. */
void store_gauges_free(struct store_gauges **gauges);

#endif
