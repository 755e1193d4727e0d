/* The bus against a real broker: order, requests, and what happens when the broker dies or freezes. */
#include "bus.h"

#include "bus_harness.h"
#include "clock.h"
#include "mem.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct harness harness;

static int setup(void **state)
{
    (void)state;
    harness_init(&harness);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_deinit(&harness);
    return 0;
}

static int publish_text(struct bus *bus, const char *subject, const char *text)
{
    struct buf payload = harness_text(text);
    int err = bus_publish(bus, subject, NULL, NULL, &payload);
    assert_null(payload.data);
    return err;
}

/* ---- Order */

#define MANY 100000

struct sequence {
    int received;
    bool in_order;
};

static void on_number(void *arg, const struct bus_message *message)
{
    struct sequence *sequence = arg;
    sequence->in_order = sequence->in_order && atoi(message->data) == sequence->received;
    sequence->received++;
}

static void publish_numbers(struct bus *bus, struct sequence *sequence, int count)
{
    char text[16];
    for (int i = 0; i < count;) {
        snprintf(text, sizeof text, "%d", i);
        int err = publish_text(bus, i % 2 ? "test.odd" : "test.even", text);
        assert_true(err == ERR_NONE || err == ERR_FULL);
        if (err)
            uv_run(&harness.loop, UV_RUN_ONCE);
        else
            i++;
    }
    assert_true(HARNESS_RUN_UNTIL(&harness, sequence->received == count, 60000));
}

/* Two subscriptions, and a queue that is often full on the way. */
static void test_many_messages_keep_their_order(void **state)
{
    (void)state;
    harness.options.queue_bytes = 1 << 20;
    struct bus *bus = harness_bus(&harness);
    struct sequence sequence = {.in_order = true};
    struct bus_subscription *odd = bus_subscribe(bus, "test.odd", NULL, on_number, &sequence);
    struct bus_subscription *even = bus_subscribe(bus, "test.even", "queue", on_number, &sequence);
    int64_t begin = clock_monotonic_ms();
    publish_numbers(bus, &sequence, MANY);
    int64_t took = clock_monotonic_ms() - begin;
    assert_true(sequence.in_order);
    print_message("%d messages there and back in %" PRId64 " ms\n", MANY, took);
    bus_unsubscribe(&odd);
    bus_unsubscribe(&even);
    bus_unsubscribe(&even);
    bus_free(&bus);
    assert_null(bus);
}

static void on_drained(void *arg)
{
    *(bool *)arg = true;
}

/* What the broker has routed to a subscription is handled still; what comes later goes to others. */
static void test_a_drained_subscription_handles_what_is_on_its_way(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct bus *bus = harness_bus(&harness), *other = harness_bus(&harness);
    struct sequence before = {.in_order = true}, after = {.in_order = true};
    bool drained = false;
    struct bus_subscription *leaves = bus_subscribe(bus, "test.work", "queue", on_number, &before);
    for (int i = 0; i < COUNT; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        assert_int_equal(publish_text(bus, "test.work", text), ERR_NONE);
    }
    bus_drain(leaves, on_drained, &drained);
    assert_true(HARNESS_RUN_UNTIL(&harness, drained, 10000));
    assert_int_equal(before.received, COUNT);
    assert_true(before.in_order);

    struct bus_subscription *stays = bus_subscribe(other, "test.work", "queue", on_number, &after);
    assert_true(HARNESS_RUN_UNTIL(&harness, publish_text(other, "test.work", "0") || after.received > 0, 10000));
    assert_int_equal(before.received, COUNT);
    bus_unsubscribe(&leaves);
    bus_unsubscribe(&stays);
    bus_free(&bus);
    bus_free(&other);
}

static void test_a_drain_ends_without_a_broker(void **state)
{
    (void)state;
    struct bus *bus = harness_bus(&harness);
    struct sequence sequence = {.in_order = true};
    bool first = false, second = false, third = false;
    struct bus_subscription *one = bus_subscribe(bus, "test.one", NULL, on_number, &sequence);
    struct bus_subscription *two = bus_subscribe(bus, "test.two", NULL, on_number, &sequence);
    struct bus_subscription *three = bus_subscribe(bus, "test.three", NULL, on_number, &sequence);
    broker_kill(&harness.broker);
    bus_drain(one, on_drained, &first);
    assert_true(HARNESS_RUN_UNTIL(&harness, !bus_connected(bus), 5000));
    bus_drain(two, on_drained, &second);
    assert_true(HARNESS_RUN_UNTIL(&harness, first && second, 10000));
    bus_drain(three, on_drained, &third);
    bus_unsubscribe(&three);
    bus_unsubscribe(&one);
    bus_free(&bus); /* with one that was drained, and not unsubscribed */
    assert_false(third);
}

static void on_time(void *arg, const struct bus_message *message)
{
    uint64_t sent;
    memcpy(&sent, message->data, sizeof sent);
    *(uint64_t *)arg = uv_hrtime() - sent;
}

static int compare_times(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void test_one_message_takes_well_under_a_frame(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    uint64_t times[COUNT] = {0};
    struct bus *bus = harness_bus(&harness);
    uint64_t time = 0;
    struct bus_subscription *subscription = bus_subscribe(bus, "test.time", NULL, on_time, &time);
    for (int i = 0; i < COUNT; i++) {
        struct buf payload = {0};
        time = 0;
        uint64_t now = uv_hrtime();
        buf_append(&payload, &now, sizeof now);
        assert_int_equal(bus_publish(bus, "test.time", NULL, NULL, &payload), ERR_NONE);
        assert_true(HARNESS_RUN_UNTIL(&harness, time > 0, 5000));
        times[i] = time;
    }
    qsort(times, COUNT, sizeof *times, compare_times);
    print_message("one way: p50 %" PRIu64 " us, p99 %" PRIu64 " us\n", times[COUNT / 2] / 1000,
                  times[COUNT * 99 / 100] / 1000);
    assert_true(times[COUNT / 2] < 16000000);
    bus_unsubscribe(&subscription);
    bus_free(&bus);
}

/* ---- Requests */

struct answer {
    int calls;
    int err;
    char text[64];
    char header[64];
};

static void on_answer(void *arg, int err, const struct bus_message *reply)
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

static void echo(void *arg, const struct bus_message *message)
{
    struct buf payload = {0};
    const char *const headers[] = {"X-Echo", "one two", NULL};
    buf_append(&payload, message->data, message->len);
    assert_int_equal(bus_publish(arg, message->reply, NULL, headers, &payload), ERR_NONE);
}

static void ignore(void *arg, const struct bus_message *message)
{
    (void)message;
    (*(int *)arg)++;
}

static void ask(struct bus *bus, const char *subject, int64_t timeout_ms, struct answer *answer,
                struct bus_request **request)
{
    struct buf payload = harness_text("hello");
    *answer = (struct answer){0};
    assert_int_equal(bus_request(bus, subject, NULL, &payload, timeout_ms, on_answer, answer, request), ERR_NONE);
    assert_int_equal(answer->calls, 0);
}

static void test_requests(void **state)
{
    (void)state;
    struct bus *bus = harness_bus(&harness);
    struct bus_request *request = NULL;
    struct answer answer, other;
    int ignored = 0;
    struct bus_subscription *echoes = bus_subscribe(bus, "test.echo", NULL, echo, bus);
    struct bus_subscription *ignores = bus_subscribe(bus, "test.ignore", NULL, ignore, &ignored);

    ask(bus, "test.echo", 5000, &answer, &request);
    assert_non_null(request);
    assert_true(HARNESS_RUN_UNTIL(&harness, answer.calls, 5000));
    assert_int_equal(answer.err, ERR_NONE);
    assert_string_equal(answer.text, "hello");
    assert_string_equal(answer.header, "one two");
    assert_null(request);

    int64_t begin = clock_monotonic_ms();
    ask(bus, "test.nobody", 5000, &answer, NULL);
    assert_true(HARNESS_RUN_UNTIL(&harness, answer.calls, 5000));
    assert_int_equal(answer.err, ERR_NO_RESPONDERS);
    assert_true(clock_monotonic_ms() - begin < 50);

    begin = clock_monotonic_ms();
    ask(bus, "test.ignore", 300, &answer, NULL);
    ask(bus, "test.ignore", 150, &other, NULL); /* the later one is due first */
    assert_true(HARNESS_RUN_UNTIL(&harness, other.calls, 5000));
    assert_int_equal(answer.calls, 0);
    assert_true(HARNESS_RUN_UNTIL(&harness, answer.calls, 5000));
    assert_int_equal(answer.err, ERR_TIMEOUT);
    assert_in_range(clock_monotonic_ms() - begin, 250, 1000);

    ask(bus, "test.ignore", 50, &answer, &request);
    bus_request_cancel(&request);
    ask(bus, "test.ignore", 100, &other, NULL);
    assert_true(HARNESS_RUN_UNTIL(&harness, other.calls, 5000));
    assert_int_equal(answer.calls, 0);
    assert_int_equal(ignored, 4);
    bus_unsubscribe(&echoes);
    bus_unsubscribe(&ignores);
    bus_free(&bus);
}

static void on_forgotten(void *arg)
{
    (*(int *)arg)++;
}

static void never(void *arg, int err, const struct bus_message *reply)
{
    (void)arg;
    (void)err;
    (void)reply;
    fail();
}

static void test_bad_publications_are_refused(void **state)
{
    (void)state;
    struct bus *bus = harness_bus(&harness);
    struct answer answer = {0};
    int forgotten = 0;
    assert_int_equal(publish_text(bus, "", "x"), ERR_INVALID);
    assert_int_equal(publish_text(bus, "a b", "x"), ERR_INVALID);
    assert_int_equal(publish_text(bus, "a\r\nPUB b 0", "x"), ERR_INVALID);
    assert_int_equal(bus_max_payload(bus), 8388608);
    struct buf large = {0};
    buf_reserve(&large, 8388609);
    memset(large.data, 'x', 8388609);
    large.len = 8388609;
    assert_int_equal(bus_publish(bus, "test.large", NULL, NULL, &large), ERR_TOO_LARGE);
    assert_null(large.data);
    bus_call(bus, "not valid", NULL, NULL, 1000, on_answer, NULL, &answer);
    assert_int_equal(answer.calls, 0);
    assert_true(HARNESS_RUN_UNTIL(&harness, answer.calls, 1000));
    assert_int_equal(answer.err, ERR_INVALID);
    bus_call(bus, "not valid", NULL, NULL, 1000, never, on_forgotten, &forgotten);
    bus_free(&bus);
    assert_int_equal(forgotten, 1);
}

/* ---- A broker that goes away */

struct states {
    int up, down;
};

static void on_state(void *arg, bool connected)
{
    struct states *states = arg;
    *(connected ? &states->up : &states->down) += 1;
}

static void note_flushed(void *arg)
{
    *(bool *)arg = true;
}

static void test_broker_is_killed_and_comes_back(void **state)
{
    (void)state;
    struct bus *bus = harness_bus(&harness);
    struct states states = {0}, watched = {0};
    struct answer answers[3];
    int received = 0;
    struct bus_watcher watcher = {.handler = on_state, .arg = &watched};
    bus_on_state(bus, on_state, &states);
    bus_watch(bus, &watcher);
    assert_int_equal(states.up, 1);
    struct bus_subscription *subscription = bus_subscribe(bus, "test.ignore", NULL, ignore, &received);
    for (int i = 0; i < 3; i++)
        ask(bus, "test.ignore", 60000, &answers[i], NULL);
    assert_true(HARNESS_RUN_UNTIL(&harness, received == 3, 5000));

    broker_kill(&harness.broker);
    assert_true(HARNESS_RUN_UNTIL(&harness, !bus_connected(bus), 5000));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(answers[i].calls, 1);
        assert_int_equal(answers[i].err, ERR_DISCONNECTED);
    }
    assert_int_equal(publish_text(bus, "test.ignore", "lost"), ERR_DISCONNECTED);
    int meanwhile = 0;
    struct bus_subscription *second = bus_subscribe(bus, "test.second", NULL, ignore, &meanwhile);

    broker_start(&harness.broker);
    assert_true(HARNESS_RUN_UNTIL(&harness, bus_connected(bus), 10000));
    assert_int_equal(publish_text(bus, "test.ignore", "again"), ERR_NONE);
    assert_int_equal(publish_text(bus, "test.second", "first"), ERR_NONE);
    assert_true(HARNESS_RUN_UNTIL(&harness, received == 4 && meanwhile == 1, 5000));
    assert_true(states.up == 2 && states.down == 1 && watched.up == 1 && watched.down == 1);
    bool flushed = false;
    bus_flush(bus, 5000, note_flushed, &flushed);
    assert_false(flushed);
    assert_true(HARNESS_RUN_UNTIL(&harness, flushed, 5000));
    bus_unwatch(bus, &watcher);
    bus_unsubscribe(&subscription);
    bus_unsubscribe(&second);
    bus_free(&bus);
}

/* It is not there at first; what was subscribed before stands when it comes. */
static void test_broker_comes_late(void **state)
{
    (void)state;
    broker_kill(&harness.broker);
    struct bus *bus = bus_new(&harness.loop, &harness.options, harness.metrics);
    int received = 0, other = 0;
    struct bus_subscription *subscription = bus_subscribe(bus, "test.early", NULL, ignore, &received);
    struct bus_subscription *gone = bus_subscribe(bus, "test.early", NULL, ignore, &other);
    assert_int_equal(publish_text(bus, "test.early", "lost"), ERR_DISCONNECTED);
    bus_unsubscribe(&gone);
    broker_start(&harness.broker);
    assert_true(HARNESS_RUN_UNTIL(&harness, bus_connected(bus), 10000));
    assert_int_equal(publish_text(bus, "test.early", "found"), ERR_NONE);
    assert_true(HARNESS_RUN_UNTIL(&harness, received == 1, 5000));
    assert_int_equal(other, 0);
    bus_unsubscribe(&subscription);
    bus_free(&bus);
}

/* Refused twice, libnats closes the connection for good. */
static void test_broker_refuses_for_a_while(void **state)
{
    (void)state;
    struct bus *bus = harness_bus(&harness);
    int received = 0;
    struct bus_subscription *subscription = bus_subscribe(bus, "test.stays", NULL, ignore, &received);
    struct bus_subscription *gone = bus_subscribe(bus, "test.goes", NULL, ignore, &received);
    assert_int_equal(publish_text(bus, "test.stays", "x"), ERR_NONE);
    assert_true(HARNESS_RUN_UNTIL(&harness, received == 1, 5000));
    harness.broker.refuses = true;
    broker_kill(&harness.broker);
    broker_start(&harness.broker);
    assert_false(HARNESS_RUN_UNTIL(&harness, received > 1, 3000));
    assert_false(bus_connected(bus));
    bus_unsubscribe(&gone);
    harness.broker.refuses = false;
    broker_kill(&harness.broker);
    broker_start(&harness.broker);
    assert_true(HARNESS_RUN_UNTIL(&harness, bus_connected(bus), 10000));
    assert_int_equal(publish_text(bus, "test.goes", "x"), ERR_NONE);
    assert_int_equal(publish_text(bus, "test.stays", "x"), ERR_NONE);
    assert_true(HARNESS_RUN_UNTIL(&harness, received == 2, 5000));
    bus_unsubscribe(&subscription);
    bus_free(&bus);
}

static void test_bus_ends_without_a_broker(void **state)
{
    (void)state;
    broker_kill(&harness.broker);
    struct bus *bus = bus_new(&harness.loop, &harness.options, harness.metrics);
    bus_subscribe(bus, "test.never", NULL, ignore, NULL);
    bool flushed = false;
    bus_flush(bus, 60000, note_flushed, &flushed);
    bus_free(&bus);
    assert_false(flushed);
}

struct lateness {
    uint64_t expected, worst;
};

static void on_clock(uv_timer_t *timer)
{
    struct lateness *lateness = timer->data;
    uint64_t now = uv_hrtime();
    if (lateness->expected && now > lateness->expected && now - lateness->expected > lateness->worst)
        lateness->worst = now - lateness->expected;
    lateness->expected = now + 10000000;
    uv_timer_start(timer, on_clock, 10, 0);
}

static int publish_megabytes(struct bus *bus, int megabytes)
{
    int full = 0;
    for (int i = 0; i < megabytes * 20; i++) {
        struct buf payload = {0};
        buf_reserve(&payload, 52000);
        memset(payload.data, 'x', 52000);
        payload.len = 52000;
        full += bus_publish(bus, "test.bulk", NULL, NULL, &payload) == ERR_FULL;
        if (i % 20 == 0)
            uv_run(&harness.loop, UV_RUN_NOWAIT);
    }
    return full;
}

static void test_frozen_broker_does_not_hold_up_the_loop(void **state)
{
    (void)state;
    struct bus *bus = harness_bus(&harness);
    static uv_timer_t timer; /* closed when this has returned */
    static struct lateness lateness;
    int received = 0;
    struct bus_subscription *subscription = bus_subscribe(bus, "test.after", NULL, ignore, &received);
    uv_timer_init(&harness.loop, &timer);
    timer.data = &lateness;
    on_clock(&timer);

    broker_freeze(&harness.broker);
    assert_true(publish_megabytes(bus, 50) > 0);
    assert_true(HARNESS_RUN_UNTIL(&harness, !bus_connected(bus), 10000));
    assert_int_equal(publish_text(bus, "test.after", "lost"), ERR_DISCONNECTED);
    broker_thaw(&harness.broker);
    assert_true(HARNESS_RUN_UNTIL(&harness, bus_connected(bus), 10000));
    assert_int_equal(publish_text(bus, "test.after", "there"), ERR_NONE);
    assert_true(HARNESS_RUN_UNTIL(&harness, received == 1, 5000));
    print_message("the loop's clock was late by %" PRIu64 " ms at most\n", lateness.worst / 1000000);
    assert_true(lateness.worst < 100000000);

    broker_freeze(&harness.broker);
    (void)publish_megabytes(bus, 20);
    uv_close((uv_handle_t *)&timer, NULL);
    bus_unsubscribe(&subscription);
    int64_t begin = clock_monotonic_ms();
    bus_free(&bus);
    print_message("ended with a frozen broker in %" PRId64 " ms\n", clock_monotonic_ms() - begin);
    assert_true(clock_monotonic_ms() - begin < 5000);
    broker_thaw(&harness.broker);
}

/* A silent one is given up after two pings. */
static void test_frozen_broker_is_noticed_in_silence(void **state)
{
    (void)state;
    harness.options.ping_interval_ms = 100;
    struct bus *bus = harness_bus(&harness);
    broker_freeze(&harness.broker);
    assert_true(HARNESS_RUN_UNTIL(&harness, !bus_connected(bus), 5000));
    broker_thaw(&harness.broker);
    assert_true(HARNESS_RUN_UNTIL(&harness, bus_connected(bus), 10000));
    bus_free(&bus);
}

/* ---- More than is read */

static int count_dropped(const struct metrics *metrics)
{
    struct buf text = {0};
    metrics_append(metrics, &text);
    const char *line = strstr(text.data, "\nparley_bus_dropped_total ");
    int dropped = line ? atoi(line + strlen("\nparley_bus_dropped_total ")) : 0;
    buf_deinit(&text);
    return dropped;
}

struct flood {
    struct bus *writer;
    int sent;
    const int *received;
};

/* Whether each message was received or counted as dropped. What the library dropped last is counted when the next
 * message comes, so this sends one. */
static bool flood_accounted(struct flood *flood)
{
    if (*flood->received + count_dropped(harness.metrics) == flood->sent)
        return true;
    assert_int_equal(publish_text(flood->writer, "test.flood", "x"), ERR_NONE);
    flood->sent++;
    return false;
}

static void test_slow_reader_loses_and_the_loss_is_counted(void **state)
{
    (void)state;
    enum { LIMIT = 100, COUNT = 1000 };
    struct bus *writer = harness_bus(&harness);
    harness.options.inbox_messages = LIMIT;
    struct metrics *metrics = harness.metrics;
    harness.metrics = metrics_new();
    struct bus *reader = harness_bus(&harness);
    int received = 0;
    struct bus_subscription *subscription = bus_subscribe(reader, "test.flood", NULL, ignore, &received);
    bool flushed = false;
    bus_flush(reader, 5000, note_flushed, &flushed);
    assert_true(HARNESS_RUN_UNTIL(&harness, flushed, 5000));
    struct answer answer;
    ask(reader, "test.nobody", 5000, &answer, NULL); /* then the broker knows of the subscription */
    assert_true(HARNESS_RUN_UNTIL(&harness, answer.calls, 5000));
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(publish_text(writer, "test.flood", "x"), ERR_NONE);
    uv_sleep(500); /* this is the loop that does not read */
    struct flood flood = {.writer = writer, .sent = COUNT, .received = &received};
    assert_true(HARNESS_RUN_UNTIL(&harness, flood_accounted(&flood), 10000));
    assert_true(received >= LIMIT);
    assert_true(received < flood.sent);
    bus_unsubscribe(&subscription);
    bus_free(&reader);
    bus_free(&writer);
    uv_run(&harness.loop, UV_RUN_ONCE);
    metrics_free(&harness.metrics);
    harness.metrics = metrics;
}

#define BUS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(test_many_messages_keep_their_order),
        BUS_TEST(test_a_drained_subscription_handles_what_is_on_its_way),
        BUS_TEST(test_a_drain_ends_without_a_broker),
        BUS_TEST(test_one_message_takes_well_under_a_frame),
        BUS_TEST(test_requests),
        BUS_TEST(test_bad_publications_are_refused),
        BUS_TEST(test_broker_is_killed_and_comes_back),
        BUS_TEST(test_broker_comes_late),
        BUS_TEST(test_broker_refuses_for_a_while),
        BUS_TEST(test_bus_ends_without_a_broker),
        BUS_TEST(test_frozen_broker_does_not_hold_up_the_loop),
        BUS_TEST(test_frozen_broker_is_noticed_in_silence),
        BUS_TEST(test_slow_reader_loses_and_the_loss_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
