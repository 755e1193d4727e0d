#include "fake_bus.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

struct bus_subscription {
    char subject[192];
    bus_handler *handler;
    void *arg;
};

struct fake_message fake_messages[FAKE_BUS_MAX];
size_t fake_message_count;
size_t fake_max_payload;
int fake_publish_error;
static struct bus_subscription subscriptions[FAKE_BUS_MAX]; /* those without a handler are free */

void fake_bus_reset(void)
{
    for (size_t i = 0; i < fake_message_count; i++)
        buf_deinit(&fake_messages[i].payload);
    for (size_t i = 0; i < FAKE_BUS_MAX; i++)
        fake_messages[i] = (struct fake_message){0};
    memset(subscriptions, 0, sizeof subscriptions);
    fake_message_count = 0;
    fake_max_payload = 1 << 20;
    fake_publish_error = ERR_NONE;
}

static struct fake_message *keep(const char *subject, struct buf *payload)
{
    assert(fake_message_count < FAKE_BUS_MAX);
    struct fake_message *message = &fake_messages[fake_message_count++];

    snprintf(message->subject, sizeof message->subject, "%s", subject);
    if (payload != NULL)
        buf_move(&message->payload, payload);
    return message;
}

int bus_publish(struct bus *bus, const char *subject, const char *reply, bus_headers headers, struct buf *payload)
{
    (void)bus;
    (void)reply;
    (void)headers;
    if (fake_publish_error != ERR_NONE) {
        buf_deinit(payload);
        return fake_publish_error;
    }
    keep(subject, payload);
    return ERR_NONE;
}

int bus_request(struct bus *bus, const char *subject, bus_headers headers, struct buf *payload, int64_t timeout_ms,
                bus_reply_handler *handler, void *arg, struct bus_request **request)
{
    (void)timeout_ms;
    int err = bus_publish(bus, subject, NULL, headers, payload != NULL ? payload : &(struct buf){0});
    if (err != ERR_NONE)
        return err;
    struct fake_message *message = &fake_messages[fake_message_count - 1];
    message->request = message->waiting = true;
    message->handler = handler;
    message->arg = arg;
    message->slot = request;
    *request = (struct bus_request *)message;
    return ERR_NONE;
}

void bus_request_cancel(struct bus_request **request)
{
    if (*request != NULL)
        ((struct fake_message *)*request)->waiting = false;
    *request = NULL;
}

struct bus_subscription *bus_subscribe(struct bus *bus, const char *subject, const char *queue, bus_handler *handler,
                                       void *arg)
{
    struct bus_subscription *subscription = subscriptions;

    (void)bus;
    (void)queue;
    while (subscription->handler != NULL)
        subscription++;
    assert(subscription < subscriptions + FAKE_BUS_MAX);
    snprintf(subscription->subject, sizeof subscription->subject, "%s", subject);
    subscription->handler = handler;
    subscription->arg = arg;
    return subscription;
}

void bus_unsubscribe(struct bus_subscription **subscription)
{
    if (*subscription != NULL)
        (*subscription)->handler = NULL;
    *subscription = NULL;
}

bool fake_bus_send(const char *subject, const void *data, size_t len)
{
    const struct bus_message message = {.subject = subject, .data = data, .len = len};

    for (size_t i = 0; i < FAKE_BUS_MAX; i++) {
        if (subscriptions[i].handler != NULL && strcmp(subscriptions[i].subject, subject) == 0) {
            subscriptions[i].handler(subscriptions[i].arg, &message);
            return true;
        }
    }
    return false;
}

size_t bus_max_payload(const struct bus *bus)
{
    (void)bus;
    return fake_max_payload;
}

void fake_bus_reply(size_t index, int err, const void *data, size_t len)
{
    struct fake_message *message = &fake_messages[index];
    const struct bus_message reply = {.subject = "reply", .data = data, .len = len};

    assert(message->waiting);
    message->waiting = false;
    *message->slot = NULL;
    message->handler(message->arg, err, err == ERR_NONE ? &reply : NULL);
}
