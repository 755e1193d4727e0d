/* How many messages of a stream no process has been given yet by a durable consumer, as a gauge: asked of the broker
 * every few seconds, one request at a time, and none while it is away. */
#ifndef PARLEY_BACKLOG_H
#define PARLEY_BACKLOG_H

#include "bus.h"

struct backlog;

/* The names are copied; the metric is lent until backlog_free(). It stays as it was while nothing is known. */
struct backlog *backlog_new(struct bus *bus, const char *stream, const char *consumer, struct metric *pending);
void backlog_free(struct backlog **backlog); /* NULL inside is allowed. The loop must run once more afterwards */

#endif
