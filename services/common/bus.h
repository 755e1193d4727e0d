/* NATS, for one loop. Nothing here blocks: publishing, subscribing and unsubscribing go through a bounded queue to a
 * thread of their own (a frozen broker can stop that thread, never the loop), and what arrives on libnats' threads is
 * brought over by a mailbox, in the order in which the broker sent it, across subscriptions.
 *
 * The connection is made and made again for ever. While it is down, bus_publish() and bus_request() refuse at once:
 * nothing is kept back to surprise somebody later.
 *
 * Everything here is called on the loop's thread. Implements the NATS client protocol's ideas of "no responders" (a
 * status 503 on the reply subject) through libnats 3.4. */
#ifndef PARLEY_BUS_H
#define PARLEY_BUS_H

#include "buf.h"
#include "err.h"
#include "metrics.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct bus;
struct bus_subscription;
struct bus_request;

struct bus_options {
    const char *name;          /* of this client, for the broker's monitoring */
    const char *url;           /* one or several, with commas: nats://host:4222 */
    const char *user;          /* NULL: none */
    const char *password;      /* NULL: none */
    int64_t queue_bytes;       /* what may wait to be published; more is refused with ERR_FULL */
    int64_t inbox_messages;    /* what may wait on one subscription to be brought over; the rest is dropped (a gap,
                                  repaired by who reads) */
    int64_t write_deadline_ms; /* how long a write to a frozen broker may take, on the publishing thread */
    int64_t ping_interval_ms;  /* a broker that misses two is given up and connected to anew */
};

/* A message as it arrived; all of it is lent until the handler returns. */
struct bus_message {
    const char *subject;
    const char *reply; /* NULL: none is expected */
    const void *data;
    size_t len;
    int status;   /* of the header line `NATS/1.0 <status>`: 0 none, 404, 408, 409, 503 (no responders)… */
    void *native; /* for bus_message_header() */
};

/* A header's value, or NULL; lent like the message. */
const char *bus_message_header(const struct bus_message *message, const char *name);

typedef void bus_handler(void *arg, const struct bus_message *message);
/* Called exactly once, unless the request is cancelled: ERR_NONE with the reply; ERR_NO_RESPONDERS, ERR_TIMEOUT or
 * ERR_DISCONNECTED (lost while it waited) with `reply` NULL. Never from within bus_request(). */
typedef void bus_reply_handler(void *arg, int err, const struct bus_message *reply);
typedef void bus_state_handler(void *arg, bool connected);

/* One more who wants to know of each change of state; lent from bus_watch() to bus_unwatch(). */
struct bus_watcher {
    bus_state_handler *handler;
    void *arg;
    struct bus_watcher *next; /* the bus's own */
};

/* Starts connecting and returns at once. Options are copied. */
struct bus *bus_new(uv_loop_t *loop, const struct bus_options *options, struct metrics *metrics);
/* Called at each change, and once now if already connected. One handler a bus. After a reconnect subscriptions stand
 * again by themselves. */
void bus_on_state(struct bus *bus, bus_state_handler *handler, void *arg);
/* Any number of others. They are called at changes only, before the state handler. */
void bus_watch(struct bus *bus, struct bus_watcher *watcher);
void bus_unwatch(struct bus *bus, struct bus_watcher *watcher);
bool bus_connected(const struct bus *bus);
uv_loop_t *bus_loop(const struct bus *bus);
/* What one message may hold in all, as the broker says; a default of 1 MiB before it was ever connected. */
size_t bus_max_payload(const struct bus *bus);

/* Lasts over reconnects. `queue` NULL: every subscriber gets every message. Subject and queue are copied. */
struct bus_subscription *bus_subscribe(struct bus *bus, const char *subject, const char *queue, bus_handler *handler,
                                       void *arg);
/* The broker routes nothing here any more. What it had routed already is still handled; then `done` is called, never
 * from within this. Messages that a broker holds back for longer than BUS_DRAIN_MS are lost. It is still to be
 * unsubscribed; if that comes first, `done` is not called. */
#define BUS_DRAIN_MS 2000
void bus_drain(struct bus_subscription *subscription, void (*done)(void *arg), void *arg);
/* No handler is called after this, and NULLs the pointer. NULL inside is allowed. */
void bus_unsubscribe(struct bus_subscription **subscription);

/* Headers for one message: pairs of name and value, ended by NULL; or NULL. Copied. */
typedef const char *const *bus_headers;

/* Takes what `payload` holds (it is empty afterwards, also on failure; NULL: an empty message). `reply` may be NULL.
 * ERR_DISCONNECTED, ERR_FULL, ERR_TOO_LARGE, ERR_INVALID (a subject that is empty or holds white space or control
 * characters). */
int bus_publish(struct bus *bus, const char *subject, const char *reply, bus_headers headers,
                struct buf *payload) MUST_CHECK;

/* Publishes with a reply subject of its own and waits. On failure the handler is not called. `request`, where not NULL,
 * is set to what bus_request_cancel() takes and is nulled by the time the handler runs. */
int bus_request(struct bus *bus, const char *subject, bus_headers headers, struct buf *payload, int64_t timeout_ms,
                bus_reply_handler *handler, void *arg, struct bus_request **request) MUST_CHECK;
void bus_request_cancel(struct bus_request **request); /* NULL inside is allowed */
/* bus_request() with a single way to fail: what could not be sent is reported to the handler too, never from within
 * this call. If the bus is freed first, `forget` gets `arg` instead. It can't be cancelled. */
void bus_call(struct bus *bus, const char *subject, bus_headers headers, struct buf *payload, int64_t timeout_ms,
              bus_reply_handler *handler, void (*forget)(void *arg), void *arg);

/* Waits until all that was published has been written (not longer than `timeout_ms`), and calls `done` on the loop. */
void bus_flush(struct bus *bus, int64_t timeout_ms, void (*done)(void *arg), void *arg);
/* Ends the threads and frees everything; requests still waiting are forgotten, their handlers not called, and
 * subscriptions are gone: unsubscribe before, and flush what must not be lost. Not from within a handler. A frozen
 * broker holds it up for a few write deadlines. The loop must run once more afterwards. */
void bus_free(struct bus **bus);

#endif
