/* Messages over a real broker: their order, how fast they come, requests and their answers, what is refused, and what
 * becomes of more than is read. */
#include "bus.h"

#include "bus_fixture.h"
#include "clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static int publish_number(struct bus *bus, const char *subject, int number)
{
    char text[16];
    snprintf(text, sizeof text, "%d", number);
    return publish_text(bus, subject, text);
}

static void publish_numbers(struct bus *bus, struct sequence *sequence, int count)
{
    for (int i = 0; i < count;) {
        int err = publish_number(bus, i % 2 ? "test.odd" : "test.even", i);
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

/* What the broker has routed to a subscription is handled still; what comes later goes to others. */
static void test_a_drained_subscription_handles_what_is_on_its_way(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct bus *bus = harness_bus(&harness), *other = harness_bus(&harness);
    struct sequence before = {.in_order = true}, after = {.in_order = true};
    bool drained = false;
    struct bus_subscription *leaves = bus_subscribe(bus, "test.work", "queue", on_number, &before);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(publish_number(bus, "test.work", i), ERR_NONE);
    bus_drain(leaves, note_done, &drained);
    assert_true(HARNESS_RUN_UNTIL(&harness, drained, 10000));
    assert_int_equal(before.received, COUNT);
    assert_true(before.in_order);

    struct bus_subscription *stays = bus_subscribe(other, "test.work", "queue", on_number, &after);
    assert_true(HARNESS_RUN_UNTIL(&harness, publish_number(other, "test.work", 0) || after.received > 0, 10000));
    assert_int_equal(before.received, COUNT);
    bus_unsubscribe(&leaves);
    bus_unsubscribe(&stays);
    bus_free(&bus);
    bus_free(&other);
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

static void echo(void *arg, const struct bus_message *message)
{
    struct buf payload = {0};
    const char *const headers[] = {"X-Echo", "one two", NULL};
    buf_append(&payload, message->data, message->len);
    assert_int_equal(bus_publish(arg, message->reply, NULL, headers, &payload), ERR_NONE);
}

static void test_requests(void **state)
{
    (void)state;
    struct bus *bus = harness_bus(&harness);
    struct bus_request *request = NULL;
    struct answer answer, other;
    int ignored = 0;
    struct bus_subscription *echoes = bus_subscribe(bus, "test.echo", NULL, echo, bus);
    struct bus_subscription *ignores = bus_subscribe(bus, "test.ignore", NULL, count_message, &ignored);

    ask(bus, "test.echo", 5000, &answer, &request);
    assert_non_null(request);
    assert_true(HARNESS_RUN_UNTIL(&harness, answer.calls, 5000));
    assert_int_equal(answer.err, ERR_NONE);
    assert_string_equal(answer.text, "hello");
    assert_string_equal(answer.header, "one two");
    assert_null(request);

    ask(bus, "test.nobody", 60000, &answer, NULL);
    assert_true(HARNESS_RUN_UNTIL(&harness, answer.calls, 5000));
    assert_int_equal(answer.err, ERR_NO_RESPONDERS);

    int64_t begin = clock_monotonic_ms();
    ask(bus, "test.ignore", 1500, &answer, NULL);
    ask(bus, "test.ignore", 150, &other, NULL); /* the later one is due first */
    assert_true(HARNESS_RUN_UNTIL(&harness, other.calls, 5000));
    assert_int_equal(answer.calls, 0);
    assert_true(HARNESS_RUN_UNTIL(&harness, answer.calls, 5000));
    assert_int_equal(answer.err, ERR_TIMEOUT);
    assert_in_range(clock_monotonic_ms() - begin, 1450, 5000);

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
    struct bus_subscription *subscription = bus_subscribe(reader, "test.flood", NULL, count_message, &received);
    bool flushed = false;
    bus_flush(reader, 5000, note_done, &flushed);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(test_many_messages_keep_their_order),
        BUS_TEST(test_a_drained_subscription_handles_what_is_on_its_way),
        BUS_TEST(test_one_message_takes_well_under_a_frame),
        BUS_TEST(test_requests),
        BUS_TEST(test_bad_publications_are_refused),
        BUS_TEST(test_slow_reader_loses_and_the_loss_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
