#include "store_fixture.h"

struct bus *bus, *other;

const struct store_stream jobs = {.name = "JOBS",
                                  .subject = "job.*",
                                  .max_bytes = 1 << 20,
                                  .max_message_bytes = -1,
                                  .max_age_ms = 60000,
                                  .duplicate_window_ms = 120000,
                                  .replicas = 1};

int store_fixture_setup(void **state)
{
    int err = bus_fixture_setup(state);
    bus = harness_bus(&harness);
    other = harness_bus(&harness);
    return err;
}

int store_fixture_teardown(void **state)
{
    bus_free(&bus);
    bus_free(&other);
    return bus_fixture_teardown(state);
}

void on_done(void *arg, int err)
{
    struct result *result = arg;
    result->calls++;
    result->err = err;
}

void on_written(void *arg, int err, uint64_t revision, bool duplicate)
{
    struct result *result = arg;
    on_done(arg, err);
    result->revision = revision;
    result->duplicate = duplicate;
}

static void on_state(void *arg, int err, const struct store_state *state)
{
    struct result *result = arg;
    on_done(arg, err);
    result->state = *state;
}

void wait_for(struct result *result)
{
    assert_int_equal(result->calls, 0); /* never from within the call */
    assert_true(HARNESS_RUN_UNTIL(&harness, result->calls == 1, 2 * TIMEOUT_MS));
}

int ensure_stream(const struct store_stream *stream)
{
    struct result result = {0};
    store_ensure_stream(bus, stream, on_done, &result);
    wait_for(&result);
    return result.err;
}

struct result get_state(const char *stream)
{
    struct result result = {0};
    store_get_state(bus, stream, TIMEOUT_MS, on_state, &result);
    wait_for(&result);
    return result;
}

struct result publish(const char *subject, const char *message_id, uint64_t expected, const char *text)
{
    struct result result = {0};
    struct buf payload = harness_text(text);
    store_publish(bus, subject, message_id, expected, NULL, &payload, TIMEOUT_MS, on_written, &result);
    wait_for(&result);
    return result;
}

void publish_job(const char *text)
{
    assert_int_equal(publish("job.a", NULL, STORE_ANY, text).err, ERR_NONE);
}
