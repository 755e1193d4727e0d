/* JetStream: streams, key-value buckets with compare-and-set, and one pull consumer; all over plain requests on the
 * bus, so that nothing blocks and every error code of the broker can be read (ADR-1, ADR-8 of the NATS architecture).
 *
 * Reads go to the stream's leader (STREAM.MSG.GET, not DIRECT.GET), so that what was acknowledged is what is read, in
 * a cluster too. */
#ifndef PARLEY_STORE_H
#define PARLEY_STORE_H

#include "bus.h"
#include "trace.h"

struct store_stream {
    const char *name;
    const char *subject;         /* what it keeps; NULL in a bucket */
    int64_t max_bytes;           /* beyond it new messages are refused (discard new) */
    int64_t max_message_bytes;   /* -1: none of its own */
    int64_t max_age_ms;          /* 0: for ever */
    int64_t duplicate_window_ms; /* of Nats-Msg-Id; 0: the broker's default */
    int64_t replicas;            /* 1 to 5 */
};

/* All handlers: called exactly once, on the loop, never from within the call that was given them. The int is an error
 * of err.h: ERR_TIMEOUT, ERR_DISCONNECTED, ERR_NO_RESPONDERS (no JetStream), ERR_FULL (the broker's or the stream's
 * limits: 10023, 10047, 10077), ERR_CONFLICT (10071), ERR_NOT_FOUND, ERR_REFUSED (any other error of the broker),
 * ERR_INVALID (no such key or name can be), ERR_TOO_LARGE. A request that could not even be sent is reported through
 * the handler too. If the bus is freed first, no handler is called. */
typedef void store_done(void *arg, int err);
typedef void store_written(void *arg, int err, uint64_t revision, bool duplicate);
/* `value` is lent until the handler returns; NULL with ERR_NOT_FOUND (never written, deleted or expired). */
typedef void store_read(void *arg, int err, const void *value, size_t len, uint64_t revision);

/* Creates the stream (or the bucket's stream, `KV_<name>`, on `$KV.<name>.>`, keeping the last value of each key), or
 * brings an existing one to these limits. Safe to call from many processes at once. */
void store_ensure_stream(struct bus *bus, const struct store_stream *stream, store_done *done, void *arg);
void store_ensure_bucket(struct bus *bus, const struct store_stream *bucket, store_done *done, void *arg);

#define STORE_ANY UINT64_MAX /* whatever is there */
#define STORE_NEW 0          /* only if nothing is there */

/* Publishes to a stream's subject and waits for its acknowledgement. `message_id` de-duplicates (NULL: no); where the
 * stream's last message is not `expected` it is not stored: ERR_CONFLICT; `trace` goes with the message (NULL, or none:
 * no). Takes the payload. */
void store_publish(struct bus *bus, const char *subject, const char *message_id, uint64_t expected,
                   const struct trace *trace, struct buf *payload, int64_t timeout_ms, store_written *done, void *arg);

/* Writes `key` if its revision is `expected`, else ERR_CONFLICT. Takes the value. Key: tokens of [A-Za-z0-9_-], with
 * dots between. */
void store_put(struct bus *bus, const char *bucket, const char *key, uint64_t expected, struct buf *value,
               int64_t timeout_ms, store_written *done, void *arg);
void store_get(struct bus *bus, const char *bucket, const char *key, int64_t timeout_ms, store_read *done, void *arg);
/* The same; and if the bus is freed first, `forget` gets `arg`. */
void store_put_or_forget(struct bus *bus, const char *bucket, const char *key, uint64_t expected, struct buf *value,
                         int64_t timeout_ms, store_written *done, void (*forget)(void *arg), void *arg);
void store_get_or_forget(struct bus *bus, const char *bucket, const char *key, int64_t timeout_ms, store_read *done,
                         void (*forget)(void *arg), void *arg);

/* What a stream holds. */
struct store_state {
    uint64_t first, last;     /* messages, by their sequence numbers, which rise from 1; of an empty one `last` is below
                                 `first`. Between them some may be missing */
    int64_t bytes, max_bytes; /* the latter -1: unlimited */
};

/* What the broker counts for a message besides its payload: subject, headers as we write them, and its own record. */
#define STORE_OVERHEAD_MAX_BYTES 1024

/* `state` is lent until the handler returns; zeros on failure. */
typedef void store_stated(void *arg, int err, const struct store_state *state);
void store_get_state(struct bus *bus, const char *stream, int64_t timeout_ms, store_stated *done, void *arg);
/* The message of this number. */
void store_get_message(struct bus *bus, const char *stream, uint64_t sequence, int64_t timeout_ms, store_read *done,
                       void *arg);
/* Deletes it, and what it held from the disk. ERR_REFUSED where it is not there: read it before. */
void store_delete_message(struct bus *bus, const char *stream, uint64_t sequence, int64_t timeout_ms, store_done *done,
                          void *arg);

/* A durable pull consumer, shared by all processes that name it: each message goes to one of them, and comes back to
 * any of them if it is not acknowledged in time. */
struct consumer;

struct consumer_options {
    const char *stream;
    const char *name;
    const char *subject; /* filter; NULL: all */
    int64_t ack_wait_ms; /* without a word for so long, it is delivered again */
    int64_t max_ack_pending;
    int64_t replicas; /* 0: as the stream */
};

/* A delivered message. `job` lives until one of the delivery_* calls that take it. */
struct delivery;
typedef void consumer_handler(void *arg, struct delivery *delivery);

/* Creates the consumer where needed, and asks for one message at a time while consumer_set_open(true) holds; asks again
 * after time-outs, errors and reconnects, by itself. */
struct consumer *consumer_new(struct bus *bus, const struct consumer_options *options, consumer_handler *handler,
                              void *arg);
void consumer_set_open(
    struct consumer *consumer,
    bool open); /* closed at first; a message under way may still come: refuse it with delivery_nak() */
void consumer_free(struct consumer **consumer); /* deliveries live on; they don't refer to it */

const void *delivery_data(const struct delivery *delivery, size_t *len);
int64_t delivery_count(const struct delivery *delivery);             /* 1 at the first try */
uint64_t delivery_sequence(const struct delivery *delivery);         /* in the stream: the same for every try */
const struct trace *delivery_trace(const struct delivery *delivery); /* that came with it, or else one made here */
/* Tells the broker that it is being worked on: ack_wait starts anew. */
void delivery_working(struct bus *bus, const struct delivery *delivery);
/* Done, or never to be tried again: it is acknowledged, and deleted from its stream, which thus holds only what is
 * still to be done. Takes and nulls. */
void delivery_finish(struct bus *bus, struct delivery **delivery);
/* Done, and `done` is told whether the broker says that it knows: else it is to be said again. Lent for the call. */
void delivery_confirm(struct bus *bus, const struct delivery *delivery, int64_t timeout_ms, store_done *done,
                      void *arg);
/* Give it to somebody else, at once or after `delay_ms`. Takes and nulls. */
void delivery_nak(struct bus *bus, struct delivery **delivery, int64_t delay_ms);
/* Forgets it without a word: it is delivered again after ack_wait. Takes and nulls. */
void delivery_drop(struct delivery **delivery);

#endif
