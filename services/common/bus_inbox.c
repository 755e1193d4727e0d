/* A native subscription may still deliver while it is being destroyed; its completion callback is the last one. Hence
 * the references. Should the connection close in the moment between the making of a native subscription and the setting
 * of that callback, then nobody will tell when the last message is through: such a subscription is stranded, and kept
 * until the end. */
#include "bus_inbox.h"

#include "log.h"
#include "mem.h"

#include <stdlib.h>

#define MESSAGES_MAX 10000000    /* above, libnats 3.4 refuses later calls */
#define BYTES_MAX    (64L << 20) /* that may wait on one subscription */

void bus_inbox_init(struct bus_inbox *inbox, struct mailbox *mailbox, int64_t limit_messages)
{
    inbox->mailbox = mailbox;
    inbox->limit_messages = limit_messages < MESSAGES_MAX ? (size_t)limit_messages : MESSAGES_MAX;
    atomic_init(&inbox->dropped, 0);
    atomic_init(&inbox->overrun, false);
    pthread_mutex_init(&inbox->lock, NULL);
    pthread_cond_init(&inbox->quiet, NULL);
    inbox->callbacks = 0;
    inbox->stranded = NULL;
}

void bus_inbox_deinit(struct bus_inbox *inbox)
{
    while (inbox->stranded) {
        struct bus_subscription *subscription = inbox->stranded;
        inbox->stranded = subscription->next_stranded;
        bus_subscription_free(&subscription);
    }
    pthread_cond_destroy(&inbox->quiet);
    pthread_mutex_destroy(&inbox->lock);
}

void bus_inbox_expect(struct bus_inbox *inbox, int more)
{
    pthread_mutex_lock(&inbox->lock);
    inbox->callbacks += more;
    if (inbox->callbacks == 0)
        pthread_cond_signal(&inbox->quiet);
    pthread_mutex_unlock(&inbox->lock);
}

void bus_inbox_wait_quiet(struct bus_inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    while (inbox->callbacks > 0)
        pthread_cond_wait(&inbox->quiet, &inbox->lock);
    pthread_mutex_unlock(&inbox->lock);
}

/* ---- Letters */

static struct bus_letter *letter_new(enum bus_letter_kind kind)
{
    struct bus_letter *letter = mem_alloc(sizeof *letter);
    letter->kind = kind;
    return letter;
}

void bus_letter_free(struct bus_letter **letter)
{
    natsMsg_Destroy((*letter)->message.native);
    free(*letter);
    *letter = NULL;
}

void bus_inbox_post_state(struct bus_inbox *inbox, bool connected, size_t max_payload)
{
    struct bus_letter *letter = letter_new(BUS_STATE);
    letter->connected = connected;
    letter->max_payload = max_payload;
    mailbox_post(inbox->mailbox, &letter->letter);
}

void bus_inbox_post_flushed(struct bus_inbox *inbox, uint64_t flush)
{
    struct bus_letter *letter = letter_new(BUS_FLUSHED);
    letter->flush = flush;
    mailbox_post(inbox->mailbox, &letter->letter);
}

/* ---- Subscriptions */

struct bus_subscription *bus_subscription_new(const char *subject, const char *queue)
{
    struct bus_subscription *subscription = mem_alloc(sizeof *subscription);
    subscription->subject = mem_strdup(subject);
    subscription->queue = queue ? mem_strdup(queue) : NULL;
    atomic_init(&subscription->draining, false);
    atomic_init(&subscription->references, 1);
    return subscription;
}

void bus_subscription_free(struct bus_subscription **subscription)
{
    free((*subscription)->subject);
    free((*subscription)->queue);
    free(*subscription);
    *subscription = NULL;
}

static void post_about(struct bus_inbox *inbox, enum bus_letter_kind kind, struct bus_subscription *subscription)
{
    struct bus_letter *letter = letter_new(kind);
    letter->subscription = subscription;
    mailbox_post(inbox->mailbox, &letter->letter);
}

void bus_inbox_release(struct bus_inbox *inbox, struct bus_subscription *subscription)
{
    if (atomic_fetch_sub(&subscription->references, 1) == 1)
        post_about(inbox, BUS_UNSUBSCRIBED, subscription);
}

/* Counts what libnats has dropped before it came here. */
static void count_overrun(struct bus_subscription *subscription, natsSubscription *native)
{
    int64_t dropped = 0;
    if (natsSubscription_GetDropped(native, &dropped) != NATS_OK)
        return;
    int64_t seen = subscription->library_dropped <= dropped ? subscription->library_dropped : 0;
    atomic_fetch_add(&subscription->inbox->dropped, (uint_fast64_t)(dropped - seen));
    subscription->library_dropped = dropped;
}

/* Only this thread adds to what waits. */
static bool has_room(const struct bus_subscription *subscription, size_t len)
{
    return atomic_load(&subscription->waiting) < subscription->inbox->limit_messages &&
           atomic_load(&subscription->waiting_bytes) + len <= BYTES_MAX;
}

/* Of a message that the broker or the library made: those have no payload. */
static int message_status(natsMsg *native)
{
    const char *status;
    if (natsMsg_GetDataLength(native) > 0 || natsMsgHeader_Get(native, "Status", &status) != NATS_OK)
        return 0;
    return (int)strtol(status, NULL, 10);
}

static void on_message(natsConnection *connection, natsSubscription *native_subscription, natsMsg *native,
                       void *closure)
{
    (void)connection;
    struct bus_subscription *subscription = closure;
    struct bus_inbox *inbox = subscription->inbox;
    if (atomic_load(&inbox->overrun))
        count_overrun(subscription, native_subscription);
    size_t len = (size_t)natsMsg_GetDataLength(native);
    if (!has_room(subscription, len)) {
        atomic_fetch_add(&inbox->dropped, 1);
        natsMsg_Destroy(native);
        return;
    }
    struct bus_letter *letter = letter_new(BUS_ARRIVED);
    letter->subscription = subscription;
    letter->message = (struct bus_message){.subject = natsMsg_GetSubject(native),
                                           .reply = natsMsg_GetReply(native),
                                           .data = natsMsg_GetData(native),
                                           .len = len,
                                           .status = message_status(native),
                                           .native = native};
    atomic_fetch_add(&subscription->waiting, 1);
    atomic_fetch_add(&subscription->waiting_bytes, len);
    mailbox_post(inbox->mailbox, &letter->letter);
}

static void on_complete(void *closure)
{
    struct bus_subscription *subscription = closure;
    struct bus_inbox *inbox = subscription->inbox;
    if (atomic_load(&subscription->draining))
        post_about(inbox, BUS_DRAINED, subscription);
    bus_inbox_release(inbox, subscription);
    bus_inbox_expect(inbox, -1);
}

void bus_inbox_attach(struct bus_inbox *inbox, natsConnection *connection, struct bus_subscription *subscription)
{
    natsSubscription *native = NULL;
    atomic_fetch_add(&subscription->references, 1);
    bus_inbox_expect(inbox, 1);
    natsStatus status =
        subscription->queue
            ? natsConnection_QueueSubscribe(&native, connection, subscription->subject, subscription->queue, on_message,
                                            subscription)
            : natsConnection_Subscribe(&native, connection, subscription->subject, on_message, subscription);
    if (status != NATS_OK) {
        log_error("cannot subscribe", LOG_TEXT("subject", subscription->subject),
                  LOG_TEXT("error", natsStatus_GetText(status)));
        bus_inbox_release(inbox, subscription);
        bus_inbox_expect(inbox, -1);
        return;
    }
    subscription->native = native;
    natsSubscription_SetPendingLimits(native, (int)inbox->limit_messages, BYTES_MAX);
    if (natsSubscription_SetOnCompleteCB(native, on_complete, subscription) == NATS_OK)
        return;
    bus_inbox_expect(inbox, -1);
    if (!subscription->stranded) {
        subscription->stranded = true;
        subscription->next_stranded = inbox->stranded;
        inbox->stranded = subscription;
    }
}

void bus_inbox_drain(struct bus_inbox *inbox, struct bus_subscription *subscription)
{
    atomic_store(&subscription->draining, true); /* first: on_complete() may follow at once */
    bool complete_follows = subscription->native && !subscription->stranded &&
                            natsSubscription_DrainTimeout(subscription->native, BUS_DRAIN_MS) == NATS_OK;
    if (!complete_follows)
        post_about(inbox, BUS_DRAINED, subscription);
}

void bus_inbox_detach(struct bus_subscription *subscription)
{
    natsSubscription_Destroy(subscription->native);
    subscription->native = NULL;
}

const char *bus_message_header(const struct bus_message *message, const char *name)
{
    const char *value = NULL;
    return natsMsgHeader_Get(message->native, name, &value) == NATS_OK ? value : NULL;
}
