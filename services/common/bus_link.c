/* The publishing thread makes the connection, and writes. libnats connects again by itself; but it closes the
 * connection for good when it is refused twice or does not understand an error of the broker's. Then the thread makes a
 * new one, and subscribes again. libnats holds its connection's lock while it writes or connects, so no function that
 * takes that lock may be called on the loop. */
#include "bus_link.h"

#include "bus_inbox.h"
#include "bus_nats.h"
#include "clock.h"
#include "log.h"
#include "mem.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct bus_link {
    struct bus_inbox inbox;
    struct bus_queue queue;
    pthread_t thread;
    /* The publishing thread's. */
    natsOptions *options;
    natsConnection *connection; /* NULL: none has been made yet, or the last one was closed for good */
    struct bus_subscription *subscriptions;
    int64_t retry_at_ms;  /* monotonic */
    natsStatus complaint; /* the last that was logged */
    /* Anybody's. */
    atomic_bool stopping;
    atomic_bool up;
    atomic_bool closed; /* the connection, for good */
    atomic_uint_fast64_t published, dropped;
    pthread_mutex_t state_lock; /* state letters are posted in the order in which things happened */
    bool lost;                  /* under it: this connection has been lost before */
};

/* ---- Callbacks, on libnats' threads */

static void on_disconnected(natsConnection *connection, void *closure)
{
    (void)connection;
    struct bus_link *link = closure;
    pthread_mutex_lock(&link->state_lock);
    link->lost = true;
    atomic_store(&link->up, false);
    bus_inbox_post_state(&link->inbox, false, 0);
    pthread_mutex_unlock(&link->state_lock);
}

static size_t max_payload(natsConnection *connection)
{
    int64_t bytes = natsConnection_GetMaxPayload(connection);
    return bytes > 0 && bytes < INT_MAX / 2 ? (size_t)bytes : INT_MAX / 2;
}

static void on_reconnected(natsConnection *connection, void *closure)
{
    struct bus_link *link = closure;
    size_t max = max_payload(connection);
    pthread_mutex_lock(&link->state_lock);
    atomic_store(&link->up, true);
    bus_inbox_post_state(&link->inbox, true, max);
    pthread_mutex_unlock(&link->state_lock);
}

/* The last callback of a connection. */
static void on_closed(natsConnection *connection, void *closure)
{
    (void)connection;
    struct bus_link *link = closure;
    atomic_store(&link->closed, true);
    bus_queue_nudge(&link->queue);
    bus_inbox_expect(&link->inbox, -1);
}

static void on_error(natsConnection *connection, natsSubscription *subscription, natsStatus status, void *closure)
{
    (void)subscription;
    struct bus_link *link = closure;
    if (status == NATS_SLOW_CONSUMER) {
        atomic_store(&link->inbox.overrun, true);
        return;
    }
    const char *text = NULL;
    natsConnection_GetLastError(connection, &text);
    log_warning("the message broker reports an error", LOG_TEXT("error", natsStatus_GetText(status)),
                LOG_TEXT("text", text));
}

/* ---- The publishing thread */

static void subscribe(struct bus_link *link, struct bus_subscription *subscription)
{
    subscription->inbox = &link->inbox;
    subscription->next = link->subscriptions;
    link->subscriptions = subscription;
    if (link->connection)
        bus_inbox_attach(&link->inbox, link->connection, subscription);
}

static void unsubscribe(struct bus_link *link, struct bus_subscription *subscription)
{
    struct bus_subscription **at = &link->subscriptions;
    while (*at != subscription)
        at = &(*at)->next;
    *at = subscription->next;
    bus_inbox_detach(subscription);
    bus_inbox_release(&link->inbox, subscription);
}

static natsStatus publish_with_headers(natsConnection *connection, const struct bus_command *command)
{
    natsMsg *message = NULL;
    natsStatus status =
        natsMsg_Create(&message, command->subject, command->reply, command->payload.data, (int)command->payload.len);
    const char *name = command->headers;
    for (size_t i = 0; status == NATS_OK && i < command->header_count; i++) {
        const char *value = name + strlen(name) + 1;
        status = natsMsgHeader_Set(message, name, value);
        name = value + strlen(value) + 1;
    }
    if (status == NATS_OK)
        status = natsConnection_PublishMsg(connection, message);
    natsMsg_Destroy(message);
    return status;
}

static natsStatus publish(natsConnection *connection, const struct bus_command *command)
{
    if (command->header_count > 0)
        return publish_with_headers(connection, command);
    if (command->reply)
        return natsConnection_PublishRequest(connection, command->subject, command->reply, command->payload.data,
                                             (int)command->payload.len);
    return natsConnection_Publish(connection, command->subject, command->payload.data, (int)command->payload.len);
}

/* What was accepted before the connection was lost is not kept for the next one. */
static void publish_or_drop(struct bus_link *link, const struct bus_command *command)
{
    bool written = atomic_load(&link->up) && publish(link->connection, command) == NATS_OK;
    atomic_fetch_add(written ? &link->published : &link->dropped, 1);
}

static void execute(struct bus_link *link, const struct bus_command *command)
{
    switch (command->kind) {
    case BUS_PUBLISH:
        publish_or_drop(link, command);
        break;
    case BUS_SUBSCRIBE:
        subscribe(link, command->subscription);
        break;
    case BUS_UNSUBSCRIBE:
        unsubscribe(link, command->subscription);
        break;
    case BUS_DRAIN:
        bus_inbox_drain(&link->inbox, command->subscription);
        break;
    case BUS_FLUSH:
        bus_inbox_post_flushed(&link->inbox, command->flush);
        break;
    }
}

static void execute_all(struct bus_link *link, struct bus_command *commands)
{
    while (commands) {
        struct bus_command *command = commands;
        commands = command->next;
        if (atomic_load(&link->stopping))
            atomic_store(&link->up, false);
        execute(link, command);
        bus_queue_finish(&link->queue, &command);
    }
}

static void complain(struct bus_link *link, natsStatus status)
{
    if (status != link->complaint)
        log_warning("cannot connect to the message broker", LOG_TEXT("error", natsStatus_GetText(status)));
    link->complaint = status;
}

static void connect_once(struct bus_link *link)
{
    link->lost = false; /* no callback of an earlier connection is left */
    atomic_store(&link->closed, false);
    bus_inbox_expect(&link->inbox, 1);
    natsStatus status = natsConnection_Connect(&link->connection, link->options);
    if (status != NATS_OK) {
        link->connection = NULL;
        bus_inbox_expect(&link->inbox, -1);
        complain(link, status);
        link->retry_at_ms = clock_monotonic_ms() + BUS_RECONNECT_WAIT_MS;
        return;
    }
    link->complaint = NATS_OK;
    for (struct bus_subscription *s = link->subscriptions; s; s = s->next)
        if (!atomic_load(&s->draining))
            bus_inbox_attach(&link->inbox, link->connection, s);
    size_t max = max_payload(link->connection);
    pthread_mutex_lock(&link->state_lock);
    if (!link->lost) {
        atomic_store(&link->up, true);
        bus_inbox_post_state(&link->inbox, true, max);
    } /* else on_reconnected() tells, or has told */
    pthread_mutex_unlock(&link->state_lock);
}

/* The connection has been closed, by us or for good. */
static void let_go(struct bus_link *link)
{
    for (struct bus_subscription *s = link->subscriptions; s; s = s->next)
        bus_inbox_detach(s);
    natsConnection_Destroy(link->connection);
    link->connection = NULL;
    link->retry_at_ms = clock_monotonic_ms() + BUS_RECONNECT_WAIT_MS;
}

static void end(struct bus_link *link)
{
    atomic_store(&link->up, false);
    if (link->connection) {
        natsConnection_Close(link->connection);
        let_go(link);
    }
    bus_inbox_wait_quiet(&link->inbox);
    execute_all(link, bus_queue_take(&link->queue, 0));
    while (link->subscriptions) {
        struct bus_subscription *subscription = link->subscriptions;
        link->subscriptions = subscription->next;
        bus_inbox_release(&link->inbox, subscription);
    }
    nats_ReleaseThreadMemory();
}

static void *run(void *arg)
{
    struct bus_link *link = arg;
    while (!atomic_load(&link->stopping)) {
        if (!link->connection && clock_monotonic_ms() >= link->retry_at_ms)
            connect_once(link);
        execute_all(link, bus_queue_take(&link->queue, link->connection ? -1 : link->retry_at_ms));
        if (link->connection && atomic_load(&link->closed))
            let_go(link);
    }
    end(link);
    return NULL;
}

/* ---- On the loop */

/* Neither libnats' threads nor ours take signals: a handler that ran there would end a poll() of the library's, and it
 * gives up its connection for that. What a fault raises is still reported. */
static void block_signals(sigset_t *before)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    sigset_t blocked;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_BLOCK, &blocked, before);
}

struct bus_link *bus_link_new(const struct bus_options *options, struct mailbox *mailbox)
{
    struct bus_link *link = mem_alloc(sizeof *link);
    const struct bus_nats_callbacks callbacks = {.disconnected = on_disconnected,
                                                 .reconnected = on_reconnected,
                                                 .closed = on_closed,
                                                 .error = on_error,
                                                 .arg = link};
    sigset_t before;
    block_signals(&before); /* threads inherit it */
    bus_nats_open();
    link->options = bus_nats_options(options, &callbacks);
    bus_inbox_init(&link->inbox, mailbox, options->inbox_messages);
    bus_queue_init(&link->queue, (size_t)options->queue_bytes);
    pthread_mutex_init(&link->state_lock, NULL);
    if (pthread_create(&link->thread, NULL, run, link) != 0)
        abort(); /* as with memory */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return link;
}

int bus_link_send(struct bus_link *link, struct bus_command **command)
{
    int err = bus_queue_push(&link->queue, command);
    bus_command_free(command);
    return err;
}

size_t bus_link_queued_bytes(const struct bus_link *link)
{
    return atomic_load(&link->queue.bytes);
}

uint64_t bus_link_published(const struct bus_link *link)
{
    return atomic_load(&link->published);
}

uint64_t bus_link_dropped(const struct bus_link *link)
{
    return atomic_load(&link->dropped) + atomic_load(&link->inbox.dropped);
}

void bus_link_stop(struct bus_link *link)
{
    atomic_store(&link->stopping, true);
    bus_queue_nudge(&link->queue);
    pthread_join(link->thread, NULL);
}

void bus_link_free(struct bus_link **link)
{
    struct bus_link *gone = *link;
    *link = NULL;
    natsOptions_Destroy(gone->options);
    bus_nats_close();
    bus_inbox_deinit(&gone->inbox);
    bus_queue_deinit(&gone->queue);
    pthread_mutex_destroy(&gone->state_lock);
    free(gone);
}
