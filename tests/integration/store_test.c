/* Streams, their messages by number, and buckets against a real broker. */
#include "store.h"

#include "clock.h"
#include "store_fixture.h"

#include <inttypes.h>

static void on_read(void *arg, int err, const void *value, size_t len, uint64_t revision)
{
    struct result *result = arg;
    on_done(arg, err);
    assert_int_equal(value == NULL, err != ERR_NONE);
    if (!err)
        buf_append(&result->value, value, len);
    result->revision = revision;
}

/* ---- Streams */

static void test_streams_are_made_and_changed(void **state)
{
    (void)state;
    struct store_stream smaller = jobs;
    assert_int_equal(ensure_stream(&jobs), ERR_NONE);
    assert_int_equal(ensure_stream(&jobs), ERR_NONE);
    smaller.max_bytes = 2000;
    assert_int_equal(ensure_stream(&smaller), ERR_NONE);
    int err = ERR_NONE;
    for (int i = 0; i < 20 && !err; i++)
        err =
            publish("job.a", NULL, STORE_ANY, "0123456789012345678901234567890123456789012345678901234567890123456789")
                .err;
    assert_int_equal(err, ERR_FULL);
    assert_int_equal(publish("no.stream", NULL, STORE_ANY, "x").err, ERR_NO_RESPONDERS);
    struct store_stream invalid = jobs;
    invalid.name = "with space";
    assert_int_equal(ensure_stream(&invalid), ERR_INVALID);
    struct store_stream overlapping = jobs;
    overlapping.name = "JOBS2";
    assert_int_equal(ensure_stream(&overlapping), ERR_REFUSED);
}

static void test_jobs_are_deduplicated(void **state)
{
    (void)state;
    assert_int_equal(ensure_stream(&jobs), ERR_NONE);
    struct result first = publish("job.a", "turn-1", STORE_ANY, "x");
    struct result again = publish("job.a", "turn-1", STORE_ANY, "x");
    struct result next = publish("job.a", "turn-2", STORE_ANY, "x");
    assert_true(first.err == ERR_NONE && !first.duplicate && first.revision == 1);
    assert_true(again.err == ERR_NONE && again.duplicate && again.revision == 1);
    assert_true(next.err == ERR_NONE && !next.duplicate && next.revision == 2);
}

/* ---- Messages by number */

static struct result get_message(uint64_t sequence)
{
    struct result result = {0};
    store_get_message(bus, "JOBS", sequence, TIMEOUT_MS, on_read, &result);
    wait_for(&result);
    return result;
}

static int delete_message(uint64_t sequence)
{
    struct result result = {0};
    store_delete_message(bus, "JOBS", sequence, TIMEOUT_MS, on_done, &result);
    wait_for(&result);
    return result.err;
}

static void test_messages_are_read_by_their_numbers(void **state)
{
    (void)state;
    assert_int_equal(get_state("JOBS").err, ERR_NOT_FOUND);
    assert_int_equal(ensure_stream(&jobs), ERR_NONE);
    assert_true(get_state("JOBS").state.last == 0);
    publish_job("one");
    publish_job("two");
    struct result stated = get_state("JOBS");
    assert_int_equal(stated.err, ERR_NONE);
    assert_int_equal(stated.state.first, 1);
    assert_int_equal(stated.state.last, 2);
    struct result result = get_message(2);
    assert_int_equal(result.err, ERR_NONE);
    assert_string_equal(result.value.data, "two");
    buf_deinit(&result.value);
    assert_int_equal(get_message(3).err, ERR_NOT_FOUND);
}

static void test_a_message_is_stored_only_after_the_one_expected(void **state)
{
    (void)state;
    assert_int_equal(ensure_stream(&jobs), ERR_NONE);
    assert_int_equal(publish("job.a", NULL, STORE_NEW, "next").err, ERR_NONE);
    assert_int_equal(publish("job.a", NULL, STORE_NEW, "next").err, ERR_CONFLICT);
    assert_int_equal(publish("job.a", NULL, 1, "next").err, ERR_NONE);
}

static void test_a_message_is_deleted_by_its_number(void **state)
{
    (void)state;
    assert_int_equal(ensure_stream(&jobs), ERR_NONE);
    publish_job("one");
    assert_int_equal(delete_message(1), ERR_NONE);
    assert_int_equal(get_message(1).err, ERR_NOT_FOUND);
    assert_int_equal(delete_message(1), ERR_REFUSED);
}

/* ---- Buckets */

static const struct store_stream things = {
    .name = "things", .max_bytes = 64 << 20, .max_message_bytes = -1, .max_age_ms = 60000, .replicas = 1};

static int ensure_bucket(const struct store_stream *bucket)
{
    struct result result = {0};
    store_ensure_bucket(bus, bucket, on_done, &result);
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

static void test_compare_and_set(void **state)
{
    (void)state;
    assert_int_equal(ensure_bucket(&things), ERR_NONE);
    assert_int_equal(ensure_bucket(&things), ERR_NONE);
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
    assert_int_equal(ensure_bucket(&things), ERR_NONE);
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
    assert_int_equal(ensure_bucket(&things), ERR_NONE);
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
    assert_int_equal(ensure_bucket(&brief), ERR_NONE);
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

static void test_an_empty_value_is_a_value(void **state)
{
    (void)state;
    assert_int_equal(ensure_bucket(&things), ERR_NONE);
    struct result written = put("empty", STORE_NEW, "");
    assert_int_equal(written.err, ERR_NONE);
    struct result result = get(bus, "empty");
    assert_int_equal(result.err, ERR_NONE);
    assert_int_equal(result.value.len, 0);
    assert_int_equal(result.revision, written.revision);
    buf_deinit(&result.value);
}

static void test_without_a_broker_each_call_fails_once(void **state)
{
    (void)state;
    struct result written = {0}, read = {0}, ensured = {0};
    assert_int_equal(ensure_bucket(&things), ERR_NONE);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_streams_are_made_and_changed),
        STORE_TEST(test_jobs_are_deduplicated),
        STORE_TEST(test_messages_are_read_by_their_numbers),
        STORE_TEST(test_a_message_is_stored_only_after_the_one_expected),
        STORE_TEST(test_a_message_is_deleted_by_its_number),
        STORE_TEST(test_compare_and_set),
        STORE_TEST(test_keys_are_checked),
        STORE_TEST(test_values_of_megabytes),
        STORE_TEST(test_deleted_and_expired_values_are_not_found),
        STORE_TEST(test_an_empty_value_is_a_value),
        STORE_TEST(test_without_a_broker_each_call_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
