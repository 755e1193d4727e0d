/* Private to the bus: what comes from the broker, on libnats' threads, is posted to the mailbox as bus_letters. */
#ifndef PARLEY_BUS_INBOX_H
#define PARLEY_BUS_INBOX_H

#include "bus_nats.h"
#include "bus_subscription.h"
#include "mailbox.h"

#include <pthread.h>
#include <stdatomic.h>

struct bus_inbox {
    struct mailbox *mailbox;
    size_t limit_messages; /* that may wait on one subscription */
    atomic_uint_fast64_t dropped;
    atomic_bool overrun; /* libnats has dropped messages at least once */
    pthread_mutex_t lock;
    pthread_cond_t quiet;
    int callbacks; /* under the lock: last callbacks that are still to come */
    struct bus_subscription *stranded;
};

void bus_inbox_init(struct bus_inbox *inbox, struct mailbox *mailbox, int64_t limit_messages);
/* After the mailbox is empty, and libnats' threads have ended. */
void bus_inbox_deinit(struct bus_inbox *inbox);
/* Whoever has libnats promise a last callback adds one, and takes it back when it comes. */
void bus_inbox_expect(struct bus_inbox *inbox, int more);
/* Waits for all of them. */
void bus_inbox_wait_quiet(struct bus_inbox *inbox);

void bus_inbox_post_state(struct bus_inbox *inbox, bool connected, size_t max_payload);
void bus_inbox_post_flushed(struct bus_inbox *inbox, uint64_t flush);

/* All on the publishing thread. Connecting lasts until the connection closes. */
void bus_inbox_attach(struct bus_inbox *inbox, natsConnection *connection, struct bus_subscription *subscription);
/* Has the broker route nothing more to it; BUS_DRAINED is posted after its last message. */
void bus_inbox_drain(struct bus_inbox *inbox, struct bus_subscription *subscription);
void bus_inbox_detach(struct bus_subscription *subscription); /* no harm where it is not attached */
/* Drops a reference; with the last one BUS_UNSUBSCRIBED is posted. */
void bus_inbox_release(struct bus_inbox *inbox, struct bus_subscription *subscription);

#endif
