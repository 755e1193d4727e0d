/* The bus while its broker dies, is not there yet, refuses it or freezes: what is lost is told, and the rest goes on.
 */
#include "bus.h"

#include "bus_fixture.h"
#include "clock.h"

#include <inttypes.h>
#include <string.h>

/* ---- A broker that goes away */

struct states {
    int up, down;
};

static void on_state(void *arg, bool connected)
{
    struct states *states = arg;
    *(connected ? &states->up : &states->down) += 1;
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
    struct bus_subscription *subscription = bus_subscribe(bus, "test.ignore", NULL, count_message, &received);
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
    struct bus_subscription *second = bus_subscribe(bus, "test.second", NULL, count_message, &meanwhile);

    broker_start(&harness.broker);
    assert_true(HARNESS_RUN_UNTIL(&harness, bus_connected(bus), 10000));
    assert_int_equal(publish_text(bus, "test.ignore", "again"), ERR_NONE);
    assert_int_equal(publish_text(bus, "test.second", "first"), ERR_NONE);
    assert_true(HARNESS_RUN_UNTIL(&harness, received == 4 && meanwhile == 1, 5000));
    assert_true(states.up == 2 && states.down == 1 && watched.up == 1 && watched.down == 1);
    bool flushed = false;
    bus_flush(bus, 5000, note_done, &flushed);
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
    struct bus_subscription *subscription = bus_subscribe(bus, "test.early", NULL, count_message, &received);
    struct bus_subscription *gone = bus_subscribe(bus, "test.early", NULL, count_message, &other);
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
    struct bus_subscription *subscription = bus_subscribe(bus, "test.stays", NULL, count_message, &received);
    struct bus_subscription *gone = bus_subscribe(bus, "test.goes", NULL, count_message, &received);
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
    bus_subscribe(bus, "test.never", NULL, count_message, NULL);
    bool flushed = false;
    bus_flush(bus, 60000, note_done, &flushed);
    bus_free(&bus);
    assert_false(flushed);
}

static void test_a_drain_ends_without_a_broker(void **state)
{
    (void)state;
    struct bus *bus = harness_bus(&harness);
    int received = 0;
    bool first = false, second = false, third = false;
    struct bus_subscription *one = bus_subscribe(bus, "test.one", NULL, count_message, &received);
    struct bus_subscription *two = bus_subscribe(bus, "test.two", NULL, count_message, &received);
    struct bus_subscription *three = bus_subscribe(bus, "test.three", NULL, count_message, &received);
    broker_kill(&harness.broker);
    bus_drain(one, note_done, &first);
    assert_true(HARNESS_RUN_UNTIL(&harness, !bus_connected(bus), 5000));
    bus_drain(two, note_done, &second);
    assert_true(HARNESS_RUN_UNTIL(&harness, first && second, 10000));
    bus_drain(three, note_done, &third);
    bus_unsubscribe(&three);
    bus_unsubscribe(&one);
    bus_free(&bus); /* with one that was drained, and not unsubscribed */
    assert_false(third);
}

/* ---- A broker that is there, and says nothing */

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
    harness.options.write_deadline_ms = 1500; /* which the loop must not wait for */
    struct bus *bus = harness_bus(&harness);
    static uv_timer_t timer; /* closed when this has returned */
    static struct lateness lateness;
    int received = 0;
    struct bus_subscription *subscription = bus_subscribe(bus, "test.after", NULL, count_message, &received);
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
    assert_true(lateness.worst < 1000000000);

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(test_broker_is_killed_and_comes_back),     BUS_TEST(test_broker_comes_late),
        BUS_TEST(test_broker_refuses_for_a_while),          BUS_TEST(test_bus_ends_without_a_broker),
        BUS_TEST(test_a_drain_ends_without_a_broker),       BUS_TEST(test_frozen_broker_does_not_hold_up_the_loop),
        BUS_TEST(test_frozen_broker_is_noticed_in_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
