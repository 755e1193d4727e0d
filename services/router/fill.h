/* How full the streams and buckets are, as gauges: what each holds, and what it may hold. Asked of the broker, one
 * request every two seconds, and none while it is away. What is full refuses questions, contact requests or
 * conversations, so somebody has to know before. */
#ifndef PARLEY_FILL_H
#define PARLEY_FILL_H

#include "bus.h"
#include "metrics.h"

struct fill;

/* Both are lent until fill_free(). The gauges of a stream are there from its first answer on, and stay as they were
 * while there is none. */
struct fill *fill_new(struct bus *bus, struct metrics *metrics);
void fill_free(struct fill **fill); /* NULL inside is allowed. The loop must run once more afterwards */

#endif
