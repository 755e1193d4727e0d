/* The pull consumer against a real broker: how jobs are shared, acknowledged, handed back and delivered again. */
#include "store.h"

#include "clock.h"
#include "store_fixture.h"

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

/* One on `bus`, to which the first job has come, and which holds it. */
static void worker_init_with_job(struct worker *worker, int64_t ack_wait_ms)
{
    assert_int_equal(ensure_stream(&jobs), ERR_NONE);
    worker_init(worker, bus, ack_wait_ms, false);
    publish_job("what");
    assert_true(HARNESS_RUN_UNTIL(&harness, worker->deliveries == 1, 5000));
}

/* All at once; `written` counts those that are stored. */
static void publish_jobs(int count, struct result *written)
{
    for (int i = 0; i < count; i++) {
        struct buf payload = harness_text("job");
        store_publish(bus, "job.a", NULL, STORE_ANY, NULL, &payload, TIMEOUT_MS, on_written, written);
    }
}

static void test_two_consumers_share(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    struct worker one, two;
    struct result written = {0};
    assert_int_equal(ensure_stream(&jobs), ERR_NONE);
    worker_init(&one, bus, 30000, true);
    worker_init(&two, other, 30000, true);
    publish_jobs(COUNT, &written);
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
    worker_init_with_job(&one, 2000);
    one.acknowledges = true; /* all but that one */
    worker_init(&two, other, 2000, true);
    publish_jobs(COUNT, &written);
    assert_true(HARNESS_RUN_UNTIL(&harness, one.deliveries + two.deliveries == 1 + COUNT + 1, 20000));
    assert_int_equal(written.calls, COUNT);
    assert_false(HARNESS_RUN_UNTIL(&harness, one.deliveries + two.deliveries > 1 + COUNT + 1, 3000));
    struct result stated = get_state("JOBS");
    assert_int_equal(stated.err, ERR_NONE);
    assert_true(stated.state.first > stated.state.last);
    delivery_finish(bus, &one.held); /* too late: it is gone */
    publish_job("after");
    assert_true(HARNESS_RUN_UNTIL(&harness, one.deliveries + two.deliveries == 1 + COUNT + 2, 5000));
    worker_deinit(&one);
    worker_deinit(&two);
}

static void test_an_acknowledgement_can_be_confirmed(void **state)
{
    (void)state;
    struct worker worker;
    struct result confirmed = {0}, refused = {0};
    worker_init_with_job(&worker, 30000);
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
    worker_init_with_job(&worker, 30000);
    assert_memory_equal(delivery_data(worker.held, &len), "what", 4);
    assert_int_equal(len, 4);
    assert_int_equal(delivery_count(worker.held), 1);
    assert_int_equal(delivery_sequence(worker.held), 1);

    delivery_nak(bus, &worker.held, 0);
    assert_null(worker.held);
    assert_true(HARNESS_RUN_UNTIL(&harness, worker.deliveries == 2, 5000));
    assert_int_equal(delivery_count(worker.held), 2);
    assert_int_equal(delivery_sequence(worker.held), 1);

    int64_t begin = clock_monotonic_ms();
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
    worker_init_with_job(&worker, 2000);
    for (int i = 0; i < 12; i++) {
        delivery_working(bus, worker.held);
        assert_false(HARNESS_RUN_UNTIL(&harness, worker.deliveries > 1, 250));
    }
    assert_true(HARNESS_RUN_UNTIL(&harness, worker.deliveries == 2, 5000));
    assert_int_equal(delivery_count(worker.held), 2);
    delivery_finish(bus, &worker.held);
    assert_false(HARNESS_RUN_UNTIL(&harness, worker.deliveries > 2, 2500));
    worker_deinit(&worker);
}

static void test_a_closed_consumer_takes_no_more(void **state)
{
    (void)state;
    struct worker worker;
    worker_init_with_job(&worker, 30000);
    consumer_set_open(worker.consumer, false); /* one question is under way still */
    for (int i = 0; i < 5; i++)
        publish_job("more");
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
    assert_int_equal(ensure_stream(&jobs), ERR_NONE);
    publish_job("1");
    assert_true(HARNESS_RUN_UNTIL(&harness, worker.deliveries == 1, 10000));

    broker_kill(&harness.broker);
    assert_true(HARNESS_RUN_UNTIL(&harness, !bus_connected(bus) && !bus_connected(other), 5000));
    broker_start(&harness.broker);
    assert_true(HARNESS_RUN_UNTIL(&harness, bus_connected(bus) && bus_connected(other), 10000));
    int err = ERR_TIMEOUT;
    for (int i = 0; err && i < 20; i++)
        err = publish("job.a", NULL, STORE_ANY, "2").err;
    assert_int_equal(err, ERR_NONE);
    assert_true(HARNESS_RUN_UNTIL(&harness, worker.deliveries == 2, 4000));

    /* Somebody deletes it. */
    assert_int_equal(bus_publish(bus, "$JS.API.CONSUMER.DELETE.JOBS.agents", NULL, NULL, NULL), ERR_NONE);
    publish_job("3");
    assert_true(HARNESS_RUN_UNTIL(&harness, worker.deliveries >= 3, 15000)); /* a new one begins at the first */
    worker_deinit(&worker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
