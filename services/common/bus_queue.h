/* Private to the bus: what waits for the publishing thread. The loop pushes, the thread takes all there is at a time.
 */
#ifndef PARLEY_BUS_QUEUE_H
#define PARLEY_BUS_QUEUE_H

#include "buf.h"
#include "bus.h"

#include <pthread.h>
#include <stdatomic.h>

enum bus_command_kind { BUS_PUBLISH, BUS_SUBSCRIBE, BUS_UNSUBSCRIBE, BUS_DRAIN, BUS_FLUSH };

struct bus_command {
    struct bus_command *next; /* in the queue */
    enum bus_command_kind kind;
    struct bus_subscription *subscription; /* BUS_SUBSCRIBE, BUS_UNSUBSCRIBE, BUS_DRAIN */
    uint64_t flush;                        /* BUS_FLUSH: the request that waits for it */
    const char *subject;                   /* BUS_PUBLISH, like all that follows */
    const char *reply;                     /* or NULL */
    const char *headers;                   /* names and values in turn, each with its zero byte; NULL: none */
    size_t header_count;                   /* pairs */
    struct buf payload;
    size_t bytes; /* what it counts for in the queue */
    char texts[]; /* subject, reply and headers point in here */
};

struct bus_command *bus_command_new(enum bus_command_kind kind);
/* Takes what `payload` holds; NULL: nothing. */
struct bus_command *bus_command_publish(const char *subject, const char *reply, bus_headers headers,
                                        struct buf *payload);
void bus_command_free(struct bus_command **command);

struct bus_queue {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* on the monotonic clock */
    struct bus_command *first;
    struct bus_command **end;
    bool nudged;
    atomic_size_t bytes; /* of publications that have not been written yet */
    size_t limit_bytes;
};

void bus_queue_init(struct bus_queue *queue, size_t limit_bytes);
void bus_queue_deinit(struct bus_queue *queue); /* must be empty */
/* Takes and nulls the command. ERR_FULL, for publications only: then it is the caller's still. */
int bus_queue_push(struct bus_queue *queue, struct bus_command **command) MUST_CHECK;
/* Waits for commands or a nudge, until `deadline_ms` of clock_monotonic_ms() (negative: for ever), and takes them all:
 * linked, oldest first, maybe none. */
struct bus_command *bus_queue_take(struct bus_queue *queue, int64_t deadline_ms);
/* A command that was taken has been dealt with: it counts no longer, and is freed. */
void bus_queue_finish(struct bus_queue *queue, struct bus_command **command);
/* Ends the wait of bus_queue_take(), this time or the next. From any thread. */
void bus_queue_nudge(struct bus_queue *queue);

#endif
