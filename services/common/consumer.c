/* A pull consumer over a plain subscription (ADR-13 of the NATS architecture): one message is asked for at a time, and
 * comes to an inbox of the consumer's own, so that what comes late is still received and not left to wait for its
 * second delivery.
 *
 *                 connected          the broker has it            open
 *   DISCONNECTED ----------> CREATING --------------> READY ---------------> ASKING
 *        ^                    ^     |                  ^  ^                    |
 *        |                    +-----+                  |  +--------------------+
 *        |               failed: wait                  |   a message, or a status: 408 nothing came, 409 and 503
 *        +--------------- from each -------------------+   also make it anew; the timer: the question was lost
 */
#include "ack_subject.h"
#include "id.h"
#include "json.h"
#include "log.h"
#include "mem.h"
#include "store.h"
#include "store_reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS         INT64_C(1000000)
#define EXPIRES_MS        5000                /* how long the broker keeps a question */
#define LOST_MS           (EXPIRES_MS + 2000) /* when there was not even a 408, the question was lost */
#define RETRY_MS          500
#define CREATE_TIMEOUT_MS 5000
#define FINISH_TIMEOUT_MS 5000
#define SUBJECT_MAX       512
#define INBOX_SIZE        (ID_SIZE + 7) /* `_INBOX.<uuid>` */

enum consumer_state { DISCONNECTED, CREATING, READY, ASKING };

struct consumer {
    struct bus *bus;
    struct bus_watcher watcher;
    struct bus_subscription *subscription;
    struct bus_request *creation;
    uv_timer_t timer; /* in CREATING: try again; in READY: ask again; in ASKING: the question was lost */
    enum consumer_state state;
    bool open;
    int64_t asked_ms; /* of uv_now() */
    char *stream;
    char *name;
    json_t *request; /* that makes it */
    char inbox[INBOX_SIZE];
    consumer_handler *handler;
    void *arg;
};

struct delivery {
    char *reply; /* where it is acknowledged */
    char *stream;
    struct ack_subject facts;
    struct trace trace;
    size_t len;
    char data[];
};

/* ---- Deliveries */

static struct delivery *delivery_new(const char *stream, const struct bus_message *message,
                                     const struct ack_subject *facts)
{
    struct delivery *delivery = mem_alloc(sizeof *delivery + message->len + 1);
    delivery->reply = mem_strdup(message->reply);
    delivery->stream = mem_strdup(stream);
    delivery->facts = *facts;
    trace_take(&delivery->trace, bus_message_header(message, TRACE_HEADER));
    delivery->len = message->len;
    memcpy(delivery->data, message->data, message->len);
    return delivery;
}

const void *delivery_data(const struct delivery *delivery, size_t *len)
{
    *len = delivery->len;
    return delivery->data;
}

int64_t delivery_count(const struct delivery *delivery)
{
    return delivery->facts.delivered;
}

uint64_t delivery_sequence(const struct delivery *delivery)
{
    return delivery->facts.stream_sequence;
}

const struct trace *delivery_trace(const struct delivery *delivery)
{
    return &delivery->trace;
}

/* If it can't be sent, the message is delivered again after ack_wait: nobody need be told. */
static void answer(struct bus *bus, const struct delivery *delivery, const char *text)
{
    struct buf payload = {0};
    buf_append_text(&payload, text);
    int err = bus_publish(bus, delivery->reply, NULL, NULL, &payload);
    (void)err;
}

void delivery_working(struct bus *bus, const struct delivery *delivery)
{
    answer(bus, delivery, "+WPI");
}

/* If it can't be sent, or the broker does not do it, the message stays until it is too old. */
static void delete_message(struct bus *bus, const struct delivery *delivery)
{
    char subject[SUBJECT_MAX];
    struct buf payload = {0};
    snprintf(subject, sizeof subject, "$JS.API.STREAM.MSG.DELETE.%s", delivery->stream);
    buf_printf(&payload, "{\"seq\": %" PRIu64 ", \"no_erase\": true}", delivery->facts.stream_sequence);
    int err = bus_publish(bus, subject, NULL, NULL, &payload);
    (void)err;
}

struct finishing {
    struct bus *bus;
    struct delivery *delivery;
};

static void free_finishing(void *arg)
{
    struct finishing *finishing = arg;
    delivery_drop(&finishing->delivery);
    free(finishing);
}

static void on_acknowledged(void *arg, int err, const struct bus_message *reply)
{
    const struct finishing *finishing = arg;
    (void)reply;
    if (!err)
        delete_message(finishing->bus, finishing->delivery);
    free_finishing(arg);
}

/* Deleted only once the broker knows that it is done. A consumer that finds a message gone which it wanted to deliver
 * again stands still until something else wakes it (seen with 2.9.10): the next question would wait until it expires.
 */
void delivery_finish(struct bus *bus, struct delivery **delivery)
{
    const struct finishing finishing = {bus, *delivery};
    struct buf payload = {0};
    *delivery = NULL;
    buf_append_text(&payload, "+ACK");
    bus_call(bus, finishing.delivery->reply, NULL, &payload, FINISH_TIMEOUT_MS, on_acknowledged, free_finishing,
             mem_dup(&finishing, sizeof finishing));
}

struct confirming {
    store_done *done;
    void *arg;
};

static void on_confirmed(void *arg, int err, const struct bus_message *reply)
{
    struct confirming confirming = *(struct confirming *)arg;
    (void)reply;
    free(arg);
    confirming.done(confirming.arg, err);
}

void delivery_confirm(struct bus *bus, const struct delivery *delivery, int64_t timeout_ms, store_done *done, void *arg)
{
    const struct confirming confirming = {done, arg};
    struct buf payload = {0};
    buf_append_text(&payload, "+ACK");
    bus_call(bus, delivery->reply, NULL, &payload, timeout_ms, on_confirmed, free,
             mem_dup(&confirming, sizeof confirming));
}

void delivery_nak(struct bus *bus, struct delivery **delivery, int64_t delay_ms)
{
    char text[64] = "-NAK";
    if (delay_ms > 0)
        snprintf(text, sizeof text, "-NAK {\"delay\": %" PRId64 "}", delay_ms * NS_PER_MS);
    answer(bus, *delivery, text);
    delivery_drop(delivery);
}

void delivery_drop(struct delivery **delivery)
{
    if (!*delivery)
        return;
    free((*delivery)->reply);
    free((*delivery)->stream);
    free(*delivery);
    *delivery = NULL;
}

/* ---- Asking */

static void on_timer(uv_timer_t *timer);

static void wait_for(struct consumer *consumer, uint64_t ms)
{
    uv_timer_start(&consumer->timer, on_timer, ms, 0);
}

static void ask(struct consumer *consumer)
{
    char subject[SUBJECT_MAX];
    struct buf payload = {0};
    snprintf(subject, sizeof subject, "$JS.API.CONSUMER.MSG.NEXT.%s.%s", consumer->stream, consumer->name);
    buf_printf(&payload, "{\"batch\": 1, \"expires\": %" PRId64 "}", EXPIRES_MS * NS_PER_MS);
    if (bus_publish(consumer->bus, subject, consumer->inbox, NULL, &payload) != ERR_NONE) {
        wait_for(consumer, RETRY_MS);
        return;
    }
    consumer->state = ASKING;
    consumer->asked_ms = (int64_t)uv_now(consumer->timer.loop);
    wait_for(consumer, LOST_MS);
}

static void become_ready(struct consumer *consumer)
{
    consumer->state = READY;
    uv_timer_stop(&consumer->timer);
    if (consumer->open)
        ask(consumer);
}

/* ---- Creating */

static void on_created(void *arg, int err, const struct bus_message *reply)
{
    struct consumer *consumer = arg;
    int code = 0;
    if (consumer->state != CREATING)
        return; /* disconnected meanwhile */
    err = store_reply_error(err, reply, &code);
    if (!err) {
        become_ready(consumer);
        return;
    }
    log_warning("cannot make the consumer yet", LOG_TEXT("stream", consumer->stream),
                LOG_TEXT("consumer", consumer->name), LOG_ERR(err), LOG_INT("code", code));
    wait_for(consumer, RETRY_MS);
}

/* Safe to repeat: an existing consumer is left, or brought to these limits. */
static void create(struct consumer *consumer)
{
    char subject[SUBJECT_MAX];
    struct buf payload = {0};
    bus_request_cancel(&consumer->creation);
    consumer->state = CREATING;
    snprintf(subject, sizeof subject, "$JS.API.CONSUMER.DURABLE.CREATE.%s.%s", consumer->stream, consumer->name);
    json_append(&payload, consumer->request);
    if (bus_request(consumer->bus, subject, NULL, &payload, CREATE_TIMEOUT_MS, on_created, consumer,
                    &consumer->creation) != ERR_NONE)
        wait_for(consumer, RETRY_MS);
}

static void on_timer(uv_timer_t *timer)
{
    struct consumer *consumer = timer->data;
    if (consumer->state == CREATING)
        create(consumer);
    else if (consumer->state != DISCONNECTED)
        become_ready(consumer);
}

static void on_state(void *arg, bool connected)
{
    struct consumer *consumer = arg;
    uv_timer_stop(&consumer->timer);
    if (connected) {
        create(consumer);
        return;
    }
    bus_request_cancel(&consumer->creation);
    consumer->state = DISCONNECTED;
}

/* ---- What comes */

static void on_status(struct consumer *consumer, int status)
{
    if (status == 100 || consumer->state != ASKING) /* 100: idle heartbeats, which were not asked for */
        return;
    if (status != 404 && status != 408) { /* it is gone, or its leader is: make sure that it is there */
        consumer->state = CREATING;
        wait_for(consumer, RETRY_MS);
    } else if ((int64_t)uv_now(consumer->timer.loop) - consumer->asked_ms < RETRY_MS) {
        consumer->state = READY; /* too early to be a time-out: don't ask in a hurry */
        wait_for(consumer, RETRY_MS);
    } else {
        become_ready(consumer);
    }
}

static void on_message(void *arg, const struct bus_message *message)
{
    struct consumer *consumer = arg;
    struct ack_subject facts;
    if (message->status) {
        on_status(consumer, message->status);
        return;
    }
    if (ack_subject_parse(message->reply, &facts) != ERR_NONE)
        return; /* from somebody who is no stream */
    if (consumer->state == ASKING) {
        consumer->state = READY;
        uv_timer_stop(&consumer->timer);
    }
    consumer->handler(consumer->arg, delivery_new(consumer->stream, message, &facts));
    /* The handler may have closed the consumer, or freed it (then its memory is still there, and no subscription). */
    if (consumer->subscription && consumer->open && consumer->state == READY)
        ask(consumer);
}

/* ---- Life */

static json_t *creation_request(const struct consumer_options *options)
{
    json_t *config = json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:I}", "durable_name", options->name, "ack_policy",
                               "explicit", "deliver_policy", "all", "replay_policy", "instant", "max_deliver", -1,
                               "ack_wait", (json_int_t)(options->ack_wait_ms * NS_PER_MS), "max_ack_pending",
                               (json_int_t)options->max_ack_pending, "num_replicas", (json_int_t)options->replicas);
    if (options->subject)
        json_object_set_new(config, "filter_subject", json_string(options->subject));
    return json_pack("{s:s, s:o}", "stream_name", options->stream, "config", config);
}

struct consumer *consumer_new(struct bus *bus, const struct consumer_options *options, consumer_handler *handler,
                              void *arg)
{
    struct consumer *consumer = mem_alloc(sizeof *consumer);
    char uuid[ID_SIZE];
    consumer->bus = bus;
    consumer->stream = mem_strdup(options->stream);
    consumer->name = mem_strdup(options->name);
    consumer->request = creation_request(options);
    consumer->handler = handler;
    consumer->arg = arg;
    uv_timer_init(bus_loop(bus), &consumer->timer);
    consumer->timer.data = consumer;
    id_uuid(uuid);
    snprintf(consumer->inbox, sizeof consumer->inbox, "_INBOX.%s", uuid);
    consumer->subscription = bus_subscribe(bus, consumer->inbox, NULL, on_message, consumer);
    consumer->watcher = (struct bus_watcher){.handler = on_state, .arg = consumer};
    bus_watch(bus, &consumer->watcher);
    if (bus_connected(bus))
        create(consumer);
    return consumer;
}

void consumer_set_open(struct consumer *consumer, bool open)
{
    consumer->open = open;
    if (open && consumer->state == READY && !uv_is_active((uv_handle_t *)&consumer->timer))
        ask(consumer);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void consumer_free(struct consumer **consumer)
{
    struct consumer *gone = *consumer;
    *consumer = NULL;
    if (!gone)
        return;
    bus_unwatch(gone->bus, &gone->watcher);
    bus_request_cancel(&gone->creation);
    bus_unsubscribe(&gone->subscription);
    free(gone->stream);
    free(gone->name);
    json_decref(gone->request);
    uv_close((uv_handle_t *)&gone->timer, on_closed);
}
