/* Streams, buckets and the pull consumer against a real broker. Two buses play two processes. */
#include "store.h"

#include "bus_harness.h"
#include "clock.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TIMEOUT_MS 5000

static struct harness harness;
static struct bus *bus, *other;

static int setup(void **state)
{
    (void)state;
    harness_init(&harness);
    bus = harness_bus(&harness);
    other = harness_bus(&harness);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bus_free(&bus);
    bus_free(&other);
    harness_deinit(&harness);
    return 0;
}

/* ---- Calls, as if they blocked */

struct result {
    int calls;
    int err;
    uint64_t revision;
    bool duplicate;
    struct buf value;
};

static void on_done(void *arg, int err)
{
    struct result *result = arg;
    result->calls++;
    result->err = err;
}

static void on_written(void *arg, int err, uint64_t revision, bool duplicate)
{
    struct result *result = arg;
    on_done(arg, err);
    result->revision = revision;
    result->duplicate = duplicate;
}

static void on_read(void *arg, int err, const void *value, size_t len, uint64_t revision)
{
    struct result *result = arg;
    on_done(arg, err);
    assert_int_equal(value == NULL, err != ERR_NONE);
    if (!err)
        buf_append(&result->value, value, len);
    result->revision = revision;
}

static void wait_for(struct result *result)
{
    assert_int_equal(result->calls, 0); /* never from within the call */
    assert_true(HARNESS_RUN_UNTIL(&harness, result->calls == 1, 2 * TIMEOUT_MS));
}

static int ensure(bool bucket, const struct store_stream *stream)
{
    struct result result = {0};
    (bucket ? store_ensure_bucket : store_ensure_stream)(bus, stream, on_done, &result);
    wait_for(&result);
    return result.err;
}

static struct result put(const char *key, uint64_t expected, const char *text)
{
    struct result result = {0};
    struct buf value = harness_text(text);
    store_put(bus, "things", key, expected, &value, TIMEOUT_MS, on_written, &result);
    assert_null(value.data);
    wait_for(&result);
    return result;
}

static struct result get(struct bus *from, const char *key)
{
    struct result result = {0};
    store_get(from, "things", key, TIMEOUT_MS, on_read, &result);
    wait_for(&result);
    return result;
}

static void assert_value(const char *key, const char *text)
{
    struct result result = get(other, key);
    assert_int_equal(result.err, ERR_NONE);
    assert_string_equal(result.value.data, text);
    buf_deinit(&result.value);
}

static struct result publish(const char *subject, const char *id, const char *text)
{
    struct result result = {0};
    struct buf payload = harness_text(text);
    store_publish(bus, subject, id, STORE_ANY, NULL, &payload, TIMEOUT_MS, on_written, &result);
    wait_for(&result);
    return result;
}

static const struct store_stream things = {
    .name = "things", .max_bytes = 64 << 20, .max_message_bytes = -1, .max_age_ms = 60000, .replicas = 1};
static const struct store_stream jobs = {.name = "JOBS",
                                         .subject = "job.*",
                                         .max_bytes = 1 << 20,
                                         .max_message_bytes = -1,
                                         .max_age_ms = 60000,
                                         .duplicate_window_ms = 120000,
                                         .replicas = 1};

/* ---- Streams and buckets */

static void test_streams_are_made_and_changed(void **state)
{
    (void)state;
    struct store_stream smaller = jobs;
    assert_int_equal(ensure(false, &jobs), ERR_NONE);
    assert_int_equal(ensure(false, &jobs), ERR_NONE);
    smaller.max_bytes = 2000;
    assert_int_equal(ensure(false, &smaller), ERR_NONE);
    int err = ERR_NONE;
    for (int i = 0; i < 20 && !err; i++)
        err = publish("job.a", NULL, "0123456789012345678901234567890123456789012345678901234567890123456789").err;
    assert_int_equal(err, ERR_FULL);
    assert_int_equal(publish("no.stream", NULL, "x").err, ERR_NO_RESPONDERS);
    struct store_stream invalid = jobs;
    invalid.name = "with space";
    assert_int_equal(ensure(false, &invalid), ERR_INVALID);
    struct store_stream overlapping = jobs;
    overlapping.name = "JOBS2";
    assert_int_equal(ensure(false, &overlapping), ERR_REFUSED);
}

static void test_jobs_are_deduplicated(void **state)
{
    (void)state;
    assert_int_equal(ensure(false, &jobs), ERR_NONE);
    struct result first = publish("job.a", "turn-1", "x");
    struct result again = publish("job.a", "turn-1", "x");
    struct result next = publish("job.a", "turn-2", "x");
    assert_true(first.err == ERR_NONE && !first.duplicate && first.revision == 1);
    assert_true(again.err == ERR_NONE && again.duplicate && again.revision == 1);
    assert_true(next.err == ERR_NONE && !next.duplicate && next.revision == 2);
}

static void test_compare_and_set(void **state)
{
    (void)state;
    assert_int_equal(ensure(true, &things), ERR_NONE);
    assert_int_equal(ensure(true, &things), ERR_NONE);
    assert_int_equal(get(bus, "key").err, ERR_NOT_FOUND);
    struct result created = put("key", STORE_NEW, "one");
    assert_int_equal(created.err, ERR_NONE);
    assert_int_equal(put("key", STORE_NEW, "two").err, ERR_CONFLICT);
    assert_value("key", "one");
    struct result changed = put("key", created.revision, "three");
    assert_int_equal(changed.err, ERR_NONE);
    assert_true(changed.revision > created.revision);
    assert_int_equal(put("key", created.revision, "four").err, ERR_CONFLICT);
    assert_int_equal(put("key", STORE_ANY, "").err, ERR_NONE);
    assert_value("key", "");
    assert_int_equal(put("key.0.x-_Y", STORE_NEW, "nested").err, ERR_NONE);
    assert_value("key.0.x-_Y", "nested");
}

static void test_keys_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ">", "*", "a.*", "a..b", ".a", "a.", "a b", "a:b", "\xe4\xbc\x9a"};
    assert_int_equal(ensure(true, &things), ERR_NONE);
    assert_int_equal(put("a.b", STORE_NEW, "secret").err, ERR_NONE);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(put(bad[i], STORE_ANY, "x").err, ERR_INVALID);
        assert_int_equal(get(bus, bad[i]).err, ERR_INVALID);
    }
}

static void test_values_of_megabytes(void **state)
{
    (void)state;
    enum { SIZE = 4 << 20 };
    struct result written = {0};
    struct buf value = {0};
    buf_reserve(&value, SIZE);
    for (int i = 0; i < SIZE; i++)
        value.data[i] = (char)(i * 31 + i / 255);
    value.len = SIZE;
    struct buf copy = {0};
    buf_append(&copy, value.data, value.len);
    assert_int_equal(ensure(true, &things), ERR_NONE);
    store_put(bus, "things", "large", STORE_NEW, &value, TIMEOUT_MS, on_written, &written);
    wait_for(&written);
    assert_int_equal(written.err, ERR_NONE);
    int64_t begin = clock_monotonic_ms();
    struct result result = get(other, "large");
    print_message("4 MiB read in %" PRId64 " ms\n", clock_monotonic_ms() - begin);
    assert_int_equal(result.err, ERR_NONE);
    assert_int_equal(result.value.len, SIZE);
    assert_memory_equal(result.value.data, copy.data, SIZE);
    assert_int_equal(result.revision, written.revision);
    buf_deinit(&result.value);
    buf_deinit(&copy);
}

static void test_deleted_and_expired_values_are_not_found(void **state)
{
    (void)state;
    struct store_stream brief = things;
    const char *const headers[] = {"KV-Operation", "DEL", NULL};
    brief.max_age_ms = 1000;
    assert_int_equal(ensure(true, &brief), ERR_NONE);
    assert_int_equal(put("deleted", STORE_NEW, "x").err, ERR_NONE);
    assert_int_equal(bus_publish(bus, "$KV.things.deleted", NULL, headers, NULL), ERR_NONE);
    assert_int_equal(put("expiring", STORE_NEW, "x").err, ERR_NONE);
    assert_int_equal(get(bus, "deleted").err, ERR_NOT_FOUND);
    assert_value("expiring", "x");
    int err = ERR_NONE;
    for (int64_t until = clock_monotonic_ms() + 10000; !err && clock_monotonic_ms() < until;) {
        struct result result = get(bus, "expiring");
        err = result.err;
        buf_deinit(&result.value);
    }
    assert_int_equal(err, ERR_NOT_FOUND);
    assert_int_equal(put("expiring", STORE_NEW, "y").err, ERR_NONE);
}

static void test_without_a_broker_each_call_fails_once(void **state)
{
    (void)state;
    struct result written = {0}, read = {0}, ensured = {0};
    assert_int_equal(ensure(true, &things), ERR_NONE);
    broker_freeze(&harness.broker);
    struct buf value = harness_text("x");
    store_put(bus, "things", "k", STORE_NEW, &value, 200, on_written, &written);
    wait_for(&written);
    assert_int_equal(written.err, ERR_TIMEOUT);
    broker_thaw(&harness.broker);
    broker_kill(&harness.broker);
    assert_true(HARNESS_RUN_UNTIL(&harness, !bus_connected(bus) && !bus_connected(other), 5000));
    store_get(bus, "things", "k", TIMEOUT_MS, on_read, &read);
    store_ensure_bucket(bus, &things, on_done, &ensured);
    wait_for(&read);
    assert_true(HARNESS_RUN_UNTIL(&harness, ensured.calls, 1000));
    assert_int_equal(read.err, ERR_DISCONNECTED);
    assert_int_equal(ensured.err, ERR_DISCONNECTED);
}

/* ---- Messages by number */

struct extent {
    int calls, err;
    uint64_t first, last;
};

static void on_state(void *arg, int err, const struct store_state *state)
{
    struct extent *extent = arg;
    *extent = (struct extent){.calls = extent->calls + 1, .err = err, .first = state->first, .last = state->last};
}

static struct extent extent_of(const char *stream)
{
    struct extent extent = {0};
    store_get_state(bus, stream, TIMEOUT_MS, on_state, &extent);
    assert_int_equal(extent.calls, 0);
    assert_true(HARNESS_RUN_UNTIL(&harness, extent.calls == 1, 2 * TIMEOUT_MS));
    return extent;
}

static void test_messages_are_read_by_their_numbers(void **state)
{
    (void)state;
    struct result result = {0}, missing = {0};
    assert_int_equal(extent_of("JOBS").err, ERR_NOT_FOUND);
    assert_int_equal(ensure(false, &jobs), ERR_NONE);
    assert_true(extent_of("JOBS").last == 0);
    assert_int_equal(publish("job.a", NULL, "one").err, ERR_NONE);
    assert_int_equal(publish("job.a", NULL, "two").err, ERR_NONE);
    struct extent extent = extent_of("JOBS");
    assert_int_equal(extent.err, ERR_NONE);
    assert_int_equal(extent.first, 1);
    assert_int_equal(extent.last, 2);
    store_get_message(bus, "JOBS", 2, TIMEOUT_MS, on_read, &result);
    wait_for(&result);
    assert_int_equal(result.err, ERR_NONE);
    assert_string_equal(result.value.data, "two");
    buf_deinit(&result.value);
    store_get_message(bus, "JOBS", 3, TIMEOUT_MS, on_read, &missing);
    wait_for(&missing);
    assert_int_equal(missing.err, ERR_NOT_FOUND);
}

static struct result publish_after(uint64_t expected)
{
    struct result result = {0};
    struct buf payload = harness_text("next");
    store_publish(bus, "job.a", NULL, expected, NULL, &payload, TIMEOUT_MS, on_written, &result);
    wait_for(&result);
    return result;
}

static void test_a_message_is_stored_only_after_the_one_expected(void **state)
{
    (void)state;
    assert_int_equal(ensure(false, &jobs), ERR_NONE);
    assert_int_equal(publish_after(STORE_NEW).err, ERR_NONE);
    assert_int_equal(publish_after(STORE_NEW).err, ERR_CONFLICT);
    assert_int_equal(publish_after(1).err, ERR_NONE);
}

static void test_a_message_is_deleted_by_its_number(void **state)
{
    (void)state;
    struct result missing = {0};
    struct result deleted = {0};
    assert_int_equal(ensure(false, &jobs), ERR_NONE);
    assert_int_equal(publish("job.a", NULL, "one").err, ERR_NONE);
    store_delete_message(bus, "JOBS", 1, TIMEOUT_MS, on_done, &deleted);
    assert_true(HARNESS_RUN_UNTIL(&harness, deleted.calls, TIMEOUT_MS));
    assert_int_equal(deleted.err, ERR_NONE);
    store_get_message(bus, "JOBS", 1, TIMEOUT_MS, on_read, &missing);
    wait_for(&missing);
    assert_int_equal(missing.err, ERR_NOT_FOUND);
    store_delete_message(bus, "JOBS", 1, TIMEOUT_MS, on_done, &deleted);
    assert_true(HARNESS_RUN_UNTIL(&harness, deleted.calls == 2, TIMEOUT_MS));
    assert_int_equal(deleted.err, ERR_REFUSED);
}

static void test_an_empty_value_is_a_value(void **state)
{
    (void)state;
    assert_int_equal(ensure(true, &things), ERR_NONE);
    struct result written = put("empty", STORE_NEW, "");
    assert_int_equal(written.err, ERR_NONE);
    struct result result = get(bus, "empty");
    assert_int_equal(result.err, ERR_NONE);
    assert_int_equal(result.value.len, 0);
    assert_int_equal(result.revision, written.revision);
    buf_deinit(&result.value);
}

/* ---- Consumers */

struct worker {
    struct bus *bus;
    struct consumer *consumer;
    struct delivery *held; /* the last one */
    int deliveries;
    bool acknowledges;
};

static void on_delivery(void *arg, struct delivery *delivery)
{
    struct worker *worker = arg;
    worker->deliveries++;
    if (worker->acknowledges) {
        delivery_finish(worker->bus, &delivery);
        return;
    }
    delivery_drop(&worker->held);
    worker->held = delivery;
}

static void worker_init(struct worker *worker, struct bus *on, int64_t ack_wait_ms, bool acknowledges)
{
    const struct consumer_options options = {
        .stream = "JOBS", .name = "agents", .ack_wait_ms = ack_wait_ms, .max_ack_pending = 1000};
    *worker = (struct worker){.bus = on, .acknowledges = acknowledges};
    worker->consumer = consumer_new(on, &options, on_delivery, worker);
    consumer_set_open(worker->consumer, true);
}

static void worker_deinit(struct worker *worker)
{
    delivery_drop(&worker->held);
    consumer_free(&worker->consumer);
}

static void test_two_consumers_share(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    struct worker one, two;
    struct result written = {0};
    assert_int_equal(ensure(false, &jobs), ERR_NONE);
    worker_init(&one, bus, 30000, true);
    worker_init(&two, other, 30000, true);
    for (int i = 0; i < COUNT; i++) {
        struct buf payload = harness_text("job");
        store_publish(bus, "job.a", NULL, STORE_ANY, NULL, &payload, TIMEOUT_MS, on_written, &written);
    }
    assert_true(HARNESS_RUN_UNTIL(&harness, one.deliveries + two.deliveries == COUNT, 20000));
    assert_true(HARNESS_RUN_UNTIL(&harness, written.calls == COUNT, 5000));
    print_message("shared as %d and %d\n", one.deliveries, two.deliveries);
    assert_true(one.deliveries > COUNT / 10 && two.deliveries > COUNT / 10);
    worker_deinit(&one);
    worker_deinit(&two);
}

/* What is served is deleted while others are at work: none is lost by that, and none comes twice. */
static void test_what_is_finished_leaves_the_stream(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    struct worker one, two;
    struct result written = {0};
    assert_int_equal(ensure(false, &jobs), ERR_NONE);
    worker_init(&one, bus, 2000, false);
    assert_int_equal(publish("job.a", NULL, "held").err, ERR_NONE);
    assert_true(HARNESS_RUN_UNTIL(&harness, one.held, 5000));
    one.acknowledges = true; /* all but that one */
    worker_init(&two, other, 2000, true);
    for (int i = 0; i < COUNT; i++) {
        struct buf payload = harness_text("job");
        store_publish(bus, "job.a", NULL, STORE_ANY, NULL, &payload, TIMEOUT_MS, on_written, &written);
    }
    assert_true(HARNESS_RUN_UNTIL(&harness, one.deliveries + two.deliveries == 1 + COUNT + 1, 20000));
    assert_int_equal(written.calls, COUNT);
    assert_false(HARNESS_RUN_UNTIL(&harness, one.deliveries + two.deliveries > 1 + COUNT + 1, 3000));
    struct extent extent = extent_of("JOBS");
    assert_int_equal(extent.err, ERR_NONE);
    assert_true(extent.first > extent.last);
    delivery_finish(bus, &one.held); /* too late: it is gone */
    assert_int_equal(publish("job.a", NULL, "after").err, ERR_NONE);
    assert_true(HARNESS_RUN_UNTIL(&harness, one.deliveries + two.deliveries == 1 + COUNT + 2, 5000));
    worker_deinit(&one);
    worker_deinit(&two);
}

static void test_an_acknowledgement_can_be_confirmed(void **state)
{
    (void)state;
    struct worker worker;
    struct result confirmed = {0}, refused = {0};
    assert_int_equal(ensure(false, &jobs), ERR_NONE);
    worker_init(&worker, bus, 30000, false);
    assert_int_equal(publish("job.a", NULL, "job").err, ERR_NONE);
    assert_true(HARNESS_RUN_UNTIL(&harness, worker.held, 5000));
    delivery_confirm(bus, worker.held, TIMEOUT_MS, on_done, &confirmed);
    wait_for(&confirmed);
    assert_int_equal(confirmed.err, ERR_NONE);
    broker_kill(&harness.broker);
    assert_true(HARNESS_RUN_UNTIL(&harness, !bus_connected(bus), 5000));
    delivery_confirm(bus, worker.held, TIMEOUT_MS, on_done, &refused);
    wait_for(&refused);
    assert_int_equal(refused.err, ERR_DISCONNECTED);
    worker_deinit(&worker);
}

static void test_a_delivery_handed_back_comes_again(void **state)
{
    (void)state;
    struct worker worker;
    size_t len;
    assert_int_equal(ensure(false, &jobs), ERR_NONE);
    worker_init(&worker, bus, 30000, false);
    assert_int_equal(publish("job.a", NULL, "what").err, ERR_NONE);
    assert_true(HARNESS_RUN_UNTIL(&harness, worker.deliveries == 1, 5000));
    assert_memory_equal(delivery_data(worker.held, &len), "what", 4);
    assert_int_equal(len, 4);
    assert_int_equal(delivery_count(worker.held), 1);
    assert_int_equal(delivery_sequence(worker.held), 1);

    int64_t begin = clock_monotonic_ms();
    delivery_nak(bus, &worker.held, 0);
    assert_null(worker.held);
    assert_true(HARNESS_RUN_UNTIL(&harness, worker.deliveries == 2, 5000));
    assert_true(clock_monotonic_ms() - begin < 1000);
    assert_int_equal(delivery_count(worker.held), 2);
    assert_int_equal(delivery_sequence(worker.held), 1);

    begin = clock_monotonic_ms();
    delivery_nak(bus, &worker.held, 700);
    assert_true(HARNESS_RUN_UNTIL(&harness, worker.deliveries == 3, 10000));
    assert_in_range(clock_monotonic_ms() - begin, 600, 5000);
    delivery_finish(bus, &worker.held);
    worker_deinit(&worker);
}

static void test_silence_redelivers_and_working_extends(void **state)
{
    (void)state;
    struct worker worker;
    assert_int_equal(ensure(false, &jobs), ERR_NONE);
    worker_init(&worker, bus, 1000, false);
    assert_int_equal(publish("job.a", NULL, "what").err, ERR_NONE);
    assert_true(HARNESS_RUN_UNTIL(&harness, worker.deliveries == 1, 5000));
    for (int i = 0; i < 10; i++) {
        delivery_working(bus, worker.held);
        assert_false(HARNESS_RUN_UNTIL(&harness, worker.deliveries > 1, 250));
    }
    assert_true(HARNESS_RUN_UNTIL(&harness, worker.deliveries == 2, 5000));
    assert_int_equal(delivery_count(worker.held), 2);
    delivery_finish(bus, &worker.held);
    assert_false(HARNESS_RUN_UNTIL(&harness, worker.deliveries > 2, 1500));
    worker_deinit(&worker);
}

static void test_a_closed_consumer_takes_no_more(void **state)
{
    (void)state;
    struct worker worker;
    assert_int_equal(ensure(false, &jobs), ERR_NONE);
    worker_init(&worker, bus, 30000, false);
    assert_int_equal(publish("job.a", NULL, "1").err, ERR_NONE);
    assert_true(HARNESS_RUN_UNTIL(&harness, worker.deliveries == 1, 5000));
    consumer_set_open(worker.consumer, false); /* one question is under way still */
    for (int i = 0; i < 5; i++)
        assert_int_equal(publish("job.a", NULL, "more").err, ERR_NONE);
    assert_false(HARNESS_RUN_UNTIL(&harness, worker.deliveries > 2, 500));
    consumer_set_open(worker.consumer, true);
    assert_true(HARNESS_RUN_UNTIL(&harness, worker.deliveries == 6, 10000));
    worker_deinit(&worker);
}

static void test_a_consumer_survives_its_broker_and_its_stream(void **state)
{
    (void)state;
    struct worker worker;
    worker_init(&worker, bus, 30000, true); /* there is no stream yet */
    assert_false(HARNESS_RUN_UNTIL(&harness, worker.deliveries, 300));
    assert_int_equal(ensure(false, &jobs), ERR_NONE);
    assert_int_equal(publish("job.a", NULL, "1").err, ERR_NONE);
    assert_true(HARNESS_RUN_UNTIL(&harness, worker.deliveries == 1, 10000));

    broker_kill(&harness.broker);
    assert_true(HARNESS_RUN_UNTIL(&harness, !bus_connected(bus) && !bus_connected(other), 5000));
    broker_start(&harness.broker);
    assert_true(HARNESS_RUN_UNTIL(&harness, bus_connected(bus) && bus_connected(other), 10000));
    int err = ERR_TIMEOUT;
    for (int i = 0; err && i < 20; i++)
        err = publish("job.a", NULL, "2").err;
    assert_int_equal(err, ERR_NONE);
    assert_true(HARNESS_RUN_UNTIL(&harness, worker.deliveries == 2, 4000));

    /* Somebody deletes it. */
    assert_int_equal(bus_publish(bus, "$JS.API.CONSUMER.DELETE.JOBS.agents", NULL, NULL, NULL), ERR_NONE);
    assert_int_equal(publish("job.a", NULL, "3").err, ERR_NONE);
    assert_true(HARNESS_RUN_UNTIL(&harness, worker.deliveries >= 3, 15000)); /* a new one begins at the first */
    worker_deinit(&worker);
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_streams_are_made_and_changed),
        STORE_TEST(test_jobs_are_deduplicated),
        STORE_TEST(test_compare_and_set),
        STORE_TEST(test_keys_are_checked),
        STORE_TEST(test_values_of_megabytes),
        STORE_TEST(test_deleted_and_expired_values_are_not_found),
        STORE_TEST(test_without_a_broker_each_call_fails_once),
        STORE_TEST(test_messages_are_read_by_their_numbers),
        STORE_TEST(test_a_message_is_stored_only_after_the_one_expected),
        STORE_TEST(test_a_message_is_deleted_by_its_number),
        STORE_TEST(test_an_empty_value_is_a_value),
        STORE_TEST(test_two_consumers_share),
        STORE_TEST(test_what_is_finished_leaves_the_stream),
        STORE_TEST(test_an_acknowledgement_can_be_confirmed),
        STORE_TEST(test_a_delivery_handed_back_comes_again),
        STORE_TEST(test_silence_redelivers_and_working_extends),
        STORE_TEST(test_a_closed_consumer_takes_no_more),
        STORE_TEST(test_a_consumer_survives_its_broker_and_its_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
