#include "webhook.h"

#include "clock.h"
#include "command.pb-c.h"
#include "http_client.h"
#include "iso_time.h"
#include "json.h"
#include "log.h"
#include "mem.h"
#include "router.h"
#include "store.h"
#include "stores.h"
#include "subjects.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ACK_PENDING_MAX    10000 /* that wait for another try; new ones wait behind so many */
#define BACKOFF_FIRST_MS   1000
#define BACKOFF_MAX_MS     300000
#define CONFIRM_TIMEOUT_MS 2000
#define STORE_PAUSE_MS     500
#define LEASE_MARGIN_MS    5000 /* beyond WEBHOOK_TIMEOUT_MS, for the difference between clocks */
#define CONNECTIONS_KEPT   1
#define SPARE_DELAY_MS     1000 /* of one that came while another was posted */
#define KEY_HEADER_SIZE    128
#define TRACE_HEADER_SIZE  (sizeof TRACE_HEADER ": " + TRACE_TEXT_SIZE)

struct webhook {
    struct router *router;
    struct command *command; /* while `delivery` is there */
    struct http_client *http;
    struct consumer *consumer; /* NULL before the first connection, and after the end */
    struct delivery *delivery; /* what is being posted, or acknowledged */
    char key[24];              /* of its posting */
    uint64_t revision;         /* … as we have stored it */
    uint32_t tries;            /* … with the one at hand */
    int64_t delay_ms;          /* until the next try, where this one has failed */
    struct http_request *posting;
    uv_timer_t *pause;                       /* NULL: none */
    void (*resume)(struct webhook *webhook); /* after it */
    bool closed;
    struct metric *posted, *failed;
};

/* How long one posting may take. */
static int64_t lease_ms(const struct webhook *webhook)
{
    return webhook->router->settings->webhook_timeout_ms + LEASE_MARGIN_MS;
}

static void update(struct webhook *webhook)
{
    bool wanted = !webhook->closed && !webhook->delivery && config_webhook(webhook->router->config);
    if (webhook->consumer)
        consumer_set_open(webhook->consumer, wanted);
}

static void end_delivery(struct webhook *webhook)
{
    router_end(webhook->command);
    update(webhook);
}

static void give_back(struct webhook *webhook, int64_t delay_ms)
{
    delivery_nak(webhook->router->service->bus, &webhook->delivery, delay_ms);
    end_delivery(webhook);
}

/* ---- Once more, until the broker has it */

static void on_pause_closed(uv_handle_t *pause)
{
    free(pause);
}

static void end_pause(struct webhook *webhook)
{
    if (webhook->pause)
        uv_close((uv_handle_t *)webhook->pause, on_pause_closed);
    webhook->pause = NULL;
}

static void on_pause_over(uv_timer_t *timer)
{
    struct webhook *webhook = timer->data;
    end_pause(webhook);
    webhook->resume(webhook);
}

static void try_again(struct webhook *webhook, void (*resume)(struct webhook *webhook))
{
    webhook->resume = resume;
    webhook->pause = mem_alloc(sizeof *webhook->pause);
    uv_timer_init(&webhook->router->service->loop, webhook->pause);
    webhook->pause->data = webhook;
    uv_timer_start(webhook->pause, on_pause_over, STORE_PAUSE_MS, 0);
}

/* ---- What is stored of a posting. Its handlers may still be called when the webhook has been stopped */

static void write_posting(struct webhook *webhook, bool taken, int64_t until_ms, uint64_t expected, store_written *done)
{
    Parley__ContactPosting posting = PARLEY__CONTACT_POSTING__INIT;
    struct buf packed = {0};
    posting.taken = taken;
    posting.until_ms = until_ms;
    posting.tries = webhook->tries;
    wire_pack(&posting.base, &packed);
    store_put(webhook->router->service->bus, BUCKET_POSTINGS, webhook->key, expected, &packed, STORE_TIMEOUT_MS, done,
              webhook);
    buf_deinit(&packed);
}

/* ---- It was taken */

static void acknowledge(struct webhook *webhook);

static void on_confirmed(void *arg, int err)
{
    struct webhook *webhook = arg;
    if (!webhook->delivery)
        return;
    if (err) {
        try_again(webhook, acknowledge);
        return;
    }
    delivery_drop(&webhook->delivery);
    end_delivery(webhook);
}

static void acknowledge(struct webhook *webhook)
{
    delivery_confirm(webhook->router->service->bus, webhook->delivery, CONFIRM_TIMEOUT_MS, on_confirmed, webhook);
}

static void store_taken(struct webhook *webhook);

static void on_taken_stored(void *arg, int err, uint64_t revision, bool duplicate)
{
    (void)revision, (void)duplicate;
    struct webhook *webhook = arg;
    if (!webhook->delivery)
        return;
    if (err)
        try_again(webhook, store_taken);
    else
        acknowledge(webhook);
}

static void store_taken(struct webhook *webhook)
{
    write_posting(webhook, true, 0, STORE_ANY, on_taken_stored);
}

/* ---- It was not */

static int64_t backoff_ms(uint32_t tries)
{
    int64_t delay_ms = BACKOFF_FIRST_MS;
    for (; tries > 1 && delay_ms < BACKOFF_MAX_MS; tries--)
        delay_ms *= 2;
    return delay_ms < BACKOFF_MAX_MS ? delay_ms : BACKOFF_MAX_MS;
}

/* Where it can't be stored that nobody posts it, the next waits for longer. */
static void on_released(void *arg, int err, uint64_t revision, bool duplicate)
{
    (void)err, (void)revision, (void)duplicate;
    struct webhook *webhook = arg;
    if (webhook->delivery)
        give_back(webhook, webhook->delay_ms);
}

/* ---- Posting */

static void on_body(void *arg, int status, const char *bytes, size_t len)
{
    (void)arg, (void)status, (void)bytes, (void)len;
}

static void on_answered(void *arg, const struct http_result *result)
{
    struct webhook *webhook = arg;
    webhook->posting = NULL;
    uint64_t number = delivery_sequence(webhook->delivery);
    const struct trace *trace = delivery_trace(webhook->delivery);
    if (!result->err && result->status / 100 == 2) {
        metric_add(webhook->posted, 1);
        log_info("contact request posted", LOG_INT("number", number), LOG_TRACE(trace),
                 LOG_INT("status", result->status));
        store_taken(webhook);
        return;
    }
    webhook->delay_ms = backoff_ms(webhook->tries);
    metric_add(webhook->failed, 1);
    log_warning("a contact request could not be posted; it is tried again", LOG_INT("number", number), LOG_TRACE(trace),
                LOG_INT("status", result->status), LOG_TEXT("error", result->err ? result->text : NULL),
                LOG_INT("delay_ms", webhook->delay_ms));
    write_posting(webhook, false, 0, webhook->revision, on_released);
}

static json_t *text_or_null(ProtobufCBinaryData text)
{
    return text.len > 0 ? json_text((const char *)text.data, text.len) : json_null();
}

static json_t *name_or_null(const char *name)
{
    return name && *name ? json_string(name) : json_null();
}

static void append_body(struct buf *out, const Parley__Contact *contact, const char *owner)
{
    char received_at[ISO_TIME_SIZE];
    iso_time((double)contact->received_ms / 1000, received_at);
    json_append_take(out, json_pack("{s:s, s:o, s:o, s:o, s:s, s:s, s:o, s:o}", "request_id", contact->request,
                                    "message", text_or_null(contact->message), "timestamp",
                                    text_or_null(contact->timestamp), "userAgent", text_or_null(contact->user_agent),
                                    "received_at", received_at, "connection_id", contact->connection, "user",
                                    name_or_null(contact->user), "owner", name_or_null(owner)));
}

static void post(struct webhook *webhook, const Parley__Contact *contact)
{
    const struct router *router = webhook->router;
    char key[KEY_HEADER_SIZE], trace[TRACE_HEADER_SIZE], value[TRACE_TEXT_SIZE];
    struct buf body = {0};
    trace_next(delivery_trace(webhook->delivery), value);
    snprintf(key, sizeof key, "Idempotency-Key: %s", contact->request);
    snprintf(trace, sizeof trace, TRACE_HEADER ": %s", value);
    const char *const headers[] = {"Content-Type: application/json", key, trace, NULL};
    const struct http_options options = {
        .method = "POST",
        .url = config_webhook(router->config),
        .headers = headers,
        .connect_timeout_ms = router->settings->webhook_timeout_ms,
        .total_timeout_ms = router->settings->webhook_timeout_ms,
    };
    append_body(&body, contact, config_owner(router->config));
    webhook->posting = http_send(webhook->http, &options, &body, on_body, on_answered, webhook);
    buf_deinit(&body);
}

/* ---- Claiming */

static void on_claimed(void *arg, int err, uint64_t revision, bool duplicate)
{
    (void)duplicate;
    struct webhook *webhook = arg;
    size_t len;
    Parley__Contact *contact;
    if (!webhook->delivery)
        return;
    const void *data = delivery_data(webhook->delivery, &len);
    webhook->revision = revision;
    if (err || webhook->closed || !config_webhook(webhook->router->config)) {
        give_back(webhook, SPARE_DELAY_MS);
    } else if (wire_unpack(webhook->router->stored, &parley__contact__descriptor, data, len, &contact)) {
        log_error("a stored contact request can't be read", LOG_TEXT("number", webhook->key),
                  LOG_TRACE(delivery_trace(webhook->delivery)));
        acknowledge(webhook);
    } else {
        post(webhook, contact);
    }
}

static void on_posting_read(void *arg, int err, const void *value, size_t len, uint64_t revision)
{
    struct webhook *webhook = arg;
    Parley__ContactPosting none = PARLEY__CONTACT_POSTING__INIT, *posting = &none;
    int64_t now_ms = clock_wall_ms();
    if (!webhook->delivery)
        return;
    if (!err)
        err = wire_unpack(webhook->router->stored, &parley__contact_posting__descriptor, value, len, &posting);
    if (err && err != ERR_NOT_FOUND) {
        give_back(webhook, SPARE_DELAY_MS);
    } else if (posting->taken) {
        acknowledge(webhook);
    } else if (posting->until_ms > now_ms) {
        give_back(webhook, posting->until_ms - now_ms);
    } else {
        webhook->tries = posting->tries + 1;
        write_posting(webhook, false, now_ms + lease_ms(webhook), value ? revision : STORE_NEW, on_claimed);
    }
}

static void on_contact_delivered(void *arg, struct delivery *delivery)
{
    struct webhook *webhook = arg;
    struct bus *bus = webhook->router->service->bus;
    if (webhook->closed || webhook->delivery) {
        delivery_nak(bus, &delivery, SPARE_DELAY_MS);
        return;
    }
    webhook->delivery = delivery;
    snprintf(webhook->key, sizeof webhook->key, "%" PRIu64, delivery_sequence(delivery));
    webhook->command = router_begin(&(struct command){.router = webhook->router}, sizeof *webhook->command);
    update(webhook);
    store_get(bus, BUCKET_POSTINGS, webhook->key, STORE_TIMEOUT_MS, on_posting_read, webhook);
}

/* ---- Life */

struct webhook *webhook_new(struct router *router)
{
    static const char name[] = "parley_webhook_posts_total", help[] = "contact requests posted, by the answer";
    struct webhook *webhook = mem_alloc(sizeof *webhook);
    webhook->router = router;
    webhook->http = http_client_new(&router->service->loop, CONNECTIONS_KEPT);
    webhook->posted = metrics_counter(router->service->metrics, name, help, "result=\"taken\"");
    webhook->failed = metrics_counter(router->service->metrics, name, help, "result=\"failed\"");
    return webhook;
}

void webhook_open(struct webhook *webhook)
{
    const struct consumer_options options = {
        .stream = STREAM_CONTACTS,
        .name = CONSUMER_WEBHOOK,
        .ack_wait_ms = lease_ms(webhook),
        .max_ack_pending = ACK_PENDING_MAX,
    };
    if (!webhook->consumer && config_webhook(webhook->router->config))
        webhook->consumer = consumer_new(webhook->router->service->bus, &options, on_contact_delivered, webhook);
    update(webhook);
}

void webhook_reconfigure(struct webhook *webhook)
{
    if (!webhook->closed && bus_connected(webhook->router->service->bus))
        webhook_open(webhook);
    else
        update(webhook);
}

void webhook_close(struct webhook *webhook)
{
    webhook->closed = true;
    update(webhook);
}

void webhook_stop(struct webhook *webhook)
{
    webhook->closed = true;
    http_cancel(&webhook->posting);
    end_pause(webhook);
    delivery_drop(&webhook->delivery);
    consumer_free(&webhook->consumer);
    http_client_free(&webhook->http);
}

void webhook_free(struct webhook **webhook)
{
    free(*webhook);
    *webhook = NULL;
}
