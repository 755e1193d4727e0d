/* The loop's side of the bus: what may be published, who gets what arrives, and the metrics. The connection and the
 * threads are bus_link.c's. */
#include "bus.h"

#include "bus_link.h"
#include "bus_request.h"
#include "bus_subscription.h"
#include "id.h"
#include "mailbox.h"
#include "mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PAYLOAD_DEFAULT (1 << 20)
#define METRICS_EVERY_MS    1000
#define INBOX_SIZE          (ID_SIZE + 8) /* `_INBOX.<uuid>.` */
#define ID_DIGITS           16

struct bus {
    uv_loop_t *loop;
    uv_timer_t metrics_timer;
    struct mailbox *mailbox;
    struct bus_link *link;
    struct bus_requests *requests;
    size_t requests_max;
    struct bus_subscription *replies;
    char inbox[INBOX_SIZE]; /* replies come to what begins with this; ends with a dot */
    bool connected;
    bool freed;
    size_t max_payload;
    struct bus_watcher *watchers;
    bus_state_handler *on_state;
    void *on_state_arg;
    uint64_t connects, received;
    struct {
        struct metric *reconnects, *published, *received, *dropped, *queue_bytes, *connected;
    } metrics;
};

/* ---- Letters */

static void deliver(struct bus *bus, struct bus_letter *letter)
{
    struct bus_subscription *subscription = letter->subscription;
    atomic_fetch_sub(&subscription->waiting, 1);
    atomic_fetch_sub(&subscription->waiting_bytes, letter->message.len);
    if (!subscription->handler)
        return;
    bus->received++;
    subscription->handler(subscription->arg, &letter->message);
}

static void tell_drained(struct bus_subscription *subscription)
{
    void (*drained)(void *arg) = subscription->drained;
    subscription->drained = NULL;
    if (drained)
        drained(subscription->drained_arg);
}

static void change_state(struct bus *bus, const struct bus_letter *letter)
{
    if (letter->connected == bus->connected)
        return;
    bus->connected = letter->connected;
    metric_set(bus->metrics.connected, bus->connected);
    if (bus->connected) {
        bus->max_payload = letter->max_payload;
        metric_set(bus->metrics.reconnects, (double)bus->connects++);
    } else {
        bus_requests_end_all(bus->requests, ERR_DISCONNECTED);
    }
    for (struct bus_watcher *watcher = bus->watchers, *next; watcher; watcher = next) {
        next = watcher->next;
        watcher->handler(watcher->arg, bus->connected);
    }
    if (bus->on_state)
        bus->on_state(bus->on_state_arg, bus->connected);
}

static void on_letter(void *arg, struct letter *opaque)
{
    struct bus *bus = arg;
    struct bus_letter *letter = (struct bus_letter *)opaque;
    if (letter->kind == BUS_UNSUBSCRIBED)
        bus_subscription_free(&letter->subscription);
    else if (bus->freed)
        ;
    else if (letter->kind == BUS_ARRIVED)
        deliver(bus, letter);
    else if (letter->kind == BUS_DRAINED)
        tell_drained(letter->subscription);
    else if (letter->kind == BUS_STATE)
        change_state(bus, letter);
    else if (letter->kind == BUS_FLUSHED)
        bus_requests_end(bus->requests, letter->flush, ERR_NONE, NULL);
    bus_letter_free(&letter);
}

static void on_reply(void *arg, const struct bus_message *message)
{
    struct bus *bus = arg;
    uint64_t id = strtoull(message->subject + strlen(bus->inbox), NULL, 16);
    if (message->status == 503)
        bus_requests_end(bus->requests, id, ERR_NO_RESPONDERS, NULL);
    else
        bus_requests_end(bus->requests, id, ERR_NONE, message);
}

/* ---- Beginning and end */

static void on_metrics_timer(uv_timer_t *timer)
{
    struct bus *bus = timer->data;
    metric_set(bus->metrics.published, (double)bus_link_published(bus->link));
    metric_set(bus->metrics.received, (double)bus->received);
    metric_set(bus->metrics.dropped, (double)bus_link_dropped(bus->link));
    metric_set(bus->metrics.queue_bytes, (double)bus_link_queued_bytes(bus->link));
}

static void register_metrics(struct bus *bus, struct metrics *metrics)
{
    bus->metrics.reconnects =
        metrics_counter(metrics, "parley_bus_reconnects_total", "connections to the broker after the first", NULL);
    bus->metrics.published =
        metrics_counter(metrics, "parley_bus_published_total", "messages written to the broker", NULL);
    bus->metrics.received =
        metrics_counter(metrics, "parley_bus_received_total", "messages from the broker that were handled", NULL);
    bus->metrics.dropped =
        metrics_counter(metrics, "parley_bus_dropped_total",
                        "messages lost in this process: not read in time, or not written when the broker went", NULL);
    bus->metrics.queue_bytes =
        metrics_gauge(metrics, "parley_bus_queue_bytes", "what waits to be written to the broker", NULL);
    bus->metrics.connected = metrics_gauge(metrics, "parley_bus_connected", "1 while the broker is connected", NULL);
    uv_timer_init(bus->loop, &bus->metrics_timer);
    bus->metrics_timer.data = bus;
    uv_timer_start(&bus->metrics_timer, on_metrics_timer, METRICS_EVERY_MS, METRICS_EVERY_MS);
    uv_unref((uv_handle_t *)&bus->metrics_timer);
}

static void subscribe_to_replies(struct bus *bus)
{
    char uuid[ID_SIZE];
    char subject[INBOX_SIZE + 1];
    id_uuid(uuid);
    snprintf(bus->inbox, sizeof bus->inbox, "_INBOX.%s.", uuid);
    snprintf(subject, sizeof subject, "%s*", bus->inbox);
    bus->replies = bus_subscribe(bus, subject, NULL, on_reply, bus);
}

struct bus *bus_new(uv_loop_t *loop, const struct bus_options *options, struct metrics *metrics)
{
    struct bus *bus = mem_alloc(sizeof *bus);
    bus->loop = loop;
    bus->max_payload = MAX_PAYLOAD_DEFAULT;
    bus->requests_max = (size_t)options->inbox_messages;
    register_metrics(bus, metrics);
    bus->mailbox = mailbox_new(loop, on_letter, bus);
    bus->requests = bus_requests_new(loop);
    bus->link = bus_link_new(options, bus->mailbox);
    subscribe_to_replies(bus);
    return bus;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void bus_free(struct bus **bus)
{
    struct bus *gone = *bus;
    *bus = NULL;
    gone->freed = true;
    bus_requests_free(&gone->requests);
    bus_link_stop(gone->link);
    mailbox_free(&gone->mailbox);
    bus_link_free(&gone->link);
    uv_close((uv_handle_t *)&gone->metrics_timer, on_closed);
}

/* ---- State */

void bus_on_state(struct bus *bus, bus_state_handler *handler, void *arg)
{
    bus->on_state = handler;
    bus->on_state_arg = arg;
    if (handler && bus->connected)
        handler(arg, true);
}

void bus_watch(struct bus *bus, struct bus_watcher *watcher)
{
    watcher->next = bus->watchers;
    bus->watchers = watcher;
}

void bus_unwatch(struct bus *bus, struct bus_watcher *watcher)
{
    struct bus_watcher **at = &bus->watchers;
    while (*at && *at != watcher)
        at = &(*at)->next;
    if (*at)
        *at = watcher->next;
}

bool bus_connected(const struct bus *bus)
{
    return bus->connected;
}

uv_loop_t *bus_loop(const struct bus *bus)
{
    return bus->loop;
}

size_t bus_max_payload(const struct bus *bus)
{
    return bus->max_payload;
}

/* ---- Subscriptions */

/* Only publications can be refused. */
static void send_command(struct bus *bus, struct bus_command **command)
{
    int err = bus_link_send(bus->link, command);
    (void)err;
}

static void send_about(enum bus_command_kind kind, struct bus_subscription *subscription)
{
    struct bus_command *command = bus_command_new(kind);
    command->subscription = subscription;
    send_command(subscription->bus, &command);
}

struct bus_subscription *bus_subscribe(struct bus *bus, const char *subject, const char *queue, bus_handler *handler,
                                       void *arg)
{
    struct bus_subscription *subscription = bus_subscription_new(subject, queue);
    subscription->bus = bus;
    subscription->handler = handler;
    subscription->arg = arg;
    send_about(BUS_SUBSCRIBE, subscription);
    return subscription;
}

void bus_drain(struct bus_subscription *subscription, void (*done)(void *arg), void *arg)
{
    subscription->drained = done;
    subscription->drained_arg = arg;
    send_about(BUS_DRAIN, subscription);
}

void bus_unsubscribe(struct bus_subscription **subscription)
{
    struct bus_subscription *gone = *subscription;
    *subscription = NULL;
    if (!gone)
        return;
    gone->handler = NULL;
    gone->drained = NULL;
    send_about(BUS_UNSUBSCRIBE, gone);
}

/* ---- Publications */

/* What would break the protocol's line: "PUB <subject> <reply> <size>". */
static bool subject_valid(const char *subject)
{
    for (const char *c = subject; *c; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return false;
    }
    return *subject;
}

static size_t headers_size(bus_headers headers)
{
    if (!headers || !*headers)
        return 0;
    size_t size = strlen("NATS/1.0\r\n") + strlen("\r\n");
    for (; headers[0]; headers += 2)
        size += strlen(headers[0]) + strlen(": ") + strlen(headers[1]) + strlen("\r\n");
    return size;
}

int bus_publish(struct bus *bus, const char *subject, const char *reply, bus_headers headers, struct buf *payload)
{
    struct buf taken = {0};
    if (payload)
        buf_move(&taken, payload);
    int err = ERR_NONE;
    if (!bus->connected)
        err = ERR_DISCONNECTED;
    else if (!subject_valid(subject) || (reply && !subject_valid(reply)))
        err = ERR_INVALID;
    else if (taken.len + headers_size(headers) > bus->max_payload)
        err = ERR_TOO_LARGE;
    if (!err) {
        struct bus_command *command = bus_command_publish(subject, reply, headers, &taken);
        err = bus_link_send(bus->link, &command);
    }
    buf_deinit(&taken);
    return err;
}

/* ---- Requests */

static int request(struct bus *bus, const char *subject, bus_headers headers, struct buf *payload,
                   const struct bus_waiting *waiting)
{
    if (bus_requests_count(bus->requests) >= bus->requests_max) {
        if (payload)
            buf_deinit(payload);
        return ERR_FULL;
    }
    uint64_t id = bus_requests_add(bus->requests, waiting);
    char reply[INBOX_SIZE + ID_DIGITS];
    snprintf(reply, sizeof reply, "%s%016" PRIx64, bus->inbox, id);
    int err = bus_publish(bus, subject, reply, headers, payload);
    if (err)
        bus_requests_drop(bus->requests, id);
    return err;
}

int bus_request(struct bus *bus, const char *subject, bus_headers headers, struct buf *payload, int64_t timeout_ms,
                bus_reply_handler *handler, void *arg, struct bus_request **owner)
{
    const struct bus_waiting waiting = {
        .handler = handler, .arg = arg, .timeout_ms = timeout_ms, .timeout_err = ERR_TIMEOUT, .owner = owner};
    return request(bus, subject, headers, payload, &waiting);
}

void bus_call(struct bus *bus, const char *subject, bus_headers headers, struct buf *payload, int64_t timeout_ms,
              bus_reply_handler *handler, void (*forget)(void *arg), void *arg)
{
    struct bus_waiting waiting = {
        .handler = handler, .forget = forget, .arg = arg, .timeout_ms = timeout_ms, .timeout_err = ERR_TIMEOUT};
    int err = request(bus, subject, headers, payload, &waiting);
    if (!err)
        return;
    /* It waits for nothing but the loop's next turn, to be told so. */
    waiting.timeout_ms = 0;
    waiting.timeout_err = err;
    bus_requests_add(bus->requests, &waiting);
}

/* ---- Flushing: a request that the publishing thread answers */

struct flush {
    void (*done)(void *arg);
    void *arg;
};

static void on_flushed(void *arg, int err, const struct bus_message *reply)
{
    (void)err;
    (void)reply;
    struct flush flush = *(struct flush *)arg;
    free(arg);
    flush.done(flush.arg);
}

void bus_flush(struct bus *bus, int64_t timeout_ms, void (*done)(void *arg), void *arg)
{
    const struct flush flush = {done, arg};
    const struct bus_waiting waiting = {.handler = on_flushed,
                                        .forget = free,
                                        .arg = mem_dup(&flush, sizeof flush),
                                        .timeout_ms = timeout_ms,
                                        .timeout_err = ERR_TIMEOUT};
    struct bus_command *command = bus_command_new(BUS_FLUSH);
    command->flush = bus_requests_add(bus->requests, &waiting);
    send_command(bus, &command);
}
