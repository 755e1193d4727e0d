#include "bus_fixture.h"

#include <stdio.h>

struct harness harness;

int bus_fixture_setup(void **state)
{
    (void)state;
    harness_init(&harness);
    return 0;
}

int bus_fixture_teardown(void **state)
{
    (void)state;
    harness_deinit(&harness);
    return 0;
}

int publish_text(struct bus *bus, const char *subject, const char *text)
{
    struct buf payload = harness_text(text);
    int err = bus_publish(bus, subject, NULL, NULL, &payload);
    assert_null(payload.data);
    return err;
}

void count_message(void *arg, const struct bus_message *message)
{
    (void)message;
    (*(int *)arg)++;
}

void note_done(void *arg)
{
    *(bool *)arg = true;
}

void on_answer(void *arg, int err, const struct bus_message *reply)
{
    struct answer *answer = arg;
    answer->calls++;
    answer->err = err;
    if (!reply)
        return;
    snprintf(answer->text, sizeof answer->text, "%.*s", (int)reply->len, (const char *)reply->data);
    const char *header = bus_message_header(reply, "X-Echo");
    snprintf(answer->header, sizeof answer->header, "%s", header ? header : "");
}

void ask(struct bus *bus, const char *subject, int64_t timeout_ms, struct answer *answer, struct bus_request **request)
{
    struct buf payload = harness_text("hello");
    *answer = (struct answer){0};
    assert_int_equal(bus_request(bus, subject, NULL, &payload, timeout_ms, on_answer, answer, request), ERR_NONE);
    assert_int_equal(answer->calls, 0);
}
