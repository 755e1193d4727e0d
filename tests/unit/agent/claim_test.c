#include "claim.h"

#include "fake_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct fixture {
    struct wire_arena *arena;
    struct claim *claim;
    uint64_t message_id;
    int calls;
    enum claim_verdict verdict;
    int err;
    uint64_t revision;
    bool before;
    Parley__TurnState state;
};

static void on_claim(void *arg, const struct claim_result *result)
{
    struct fixture *f = arg;

    f->calls++;
    f->verdict = result->verdict;
    f->err = result->err;
    f->revision = result->revision;
    f->before = result->before != NULL;
    f->state = f->before ? result->before->state : PARLEY__TURN_STATE__TURN_STATE_UNKNOWN;
}

static int setup(void **state)
{
    static struct fixture f;

    f = (struct fixture){.arena = wire_arena_new(1 << 20), .message_id = 7};
    fake_store_reset();
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    claim_cancel(&f->claim);
    fake_store_run();
    fake_store_reset();
    wire_arena_free(&f->arena);
    return 0;
}

static void start(struct fixture *f, uint32_t attempt, bool expired)
{
    const struct claim_options options = {.arena = f->arena,
                                          .turn = "turn",
                                          .vendor = "v",
                                          .model = "m",
                                          .attempt = attempt,
                                          .message_id = f->message_id,
                                          .expired = expired};

    claim_start(&options, on_claim, f, &f->claim);
}

static void leave(uint32_t attempt, Parley__TurnState state)
{
    Parley__TurnRecord record = PARLEY__TURN_RECORD__INIT;
    struct buf packed = {0};

    record.turn = (char *)"turn";
    record.attempt = attempt;
    record.state = state;
    record.text = (ProtobufCBinaryData){4, (uint8_t *)"text"};
    record.length = 4;
    wire_pack(&record.base, &packed);
    fake_store_write("turn", packed.data, packed.len);
    buf_deinit(&packed);
}

static Parley__TurnRecord *stored(struct fixture *f)
{
    const struct fake_entry *entry = fake_store_find("turn");
    Parley__TurnRecord *record;

    assert_non_null(entry);
    assert_int_equal(
        wire_unpack(f->arena, &parley__turn_record__descriptor, entry->value.data, entry->value.len, &record),
        ERR_NONE);
    return record;
}

static void test_a_new_turn(void **state)
{
    struct fixture *f = *state;

    start(f, 1, false);
    assert_int_equal(f->calls, 0);
    fake_store_run();
    assert_int_equal(f->verdict, CLAIM_TAKEN);
    assert_int_equal(f->revision, fake_store_find("turn")->revision);
    assert_false(f->before);
    assert_null(f->claim);
    assert_int_equal(stored(f)->state, PARLEY__TURN_STATE__TURN_STATE_RUNNING);
    assert_int_equal(stored(f)->message_id, 7);
}

static void test_an_older_attempt_is_taken_over_with_its_text(void **state)
{
    struct fixture *f = *state;

    leave(1, PARLEY__TURN_STATE__TURN_STATE_RUNNING);
    start(f, 2, true);
    fake_store_run();
    assert_int_equal(f->verdict, CLAIM_TAKEN);
    assert_true(f->before);
    assert_int_equal(stored(f)->attempt, 2);
    assert_int_equal(stored(f)->text.len, 4);
}

static void test_a_cancellation_is_found(void **state)
{
    struct fixture *f = *state;

    leave(0, PARLEY__TURN_STATE__TURN_STATE_CANCEL_ASKED);
    start(f, 1, false);
    fake_store_run();
    assert_int_equal(f->verdict, CLAIM_TAKEN);
    assert_int_equal(f->state, PARLEY__TURN_STATE__TURN_STATE_CANCEL_ASKED);
}

static void test_an_ended_turn_is_left_alone(void **state)
{
    struct fixture *f = *state;

    leave(1, PARLEY__TURN_STATE__TURN_STATE_COMPLETED);
    start(f, 2, false);
    fake_store_run();
    assert_int_equal(f->verdict, CLAIM_ENDED);
    assert_int_equal(fake_puts, 0);
}

static void test_a_newer_attempt_is_left_alone(void **state)
{
    struct fixture *f = *state;

    leave(3, PARLEY__TURN_STATE__TURN_STATE_RUNNING);
    start(f, 2, false);
    fake_store_run();
    assert_int_equal(f->verdict, CLAIM_NEWER);
}

static void test_a_late_job_that_nobody_began(void **state)
{
    struct fixture *f = *state;

    start(f, 2, true);
    fake_store_run();
    assert_int_equal(f->verdict, CLAIM_EXPIRED);
    assert_int_equal(fake_puts, 0);
}

static void test_a_late_job_that_was_given_up(void **state)
{
    struct fixture *f = *state;

    f->message_id = 0;
    leave(0, PARLEY__TURN_STATE__TURN_STATE_CANCEL_ASKED);
    start(f, 1, true);
    fake_store_run();
    assert_int_equal(f->verdict, CLAIM_EXPIRED);
    assert_int_equal(fake_puts, 0);
    f->message_id = 7; /* it stands in a conversation as being answered */
    start(f, 1, true);
    fake_store_run();
    assert_int_equal(f->verdict, CLAIM_TAKEN);
    assert_int_equal(f->state, PARLEY__TURN_STATE__TURN_STATE_CANCEL_ASKED);
}

/* The broker gives it away for the first time, as far as it remembers. */
static void test_a_late_job_that_was_begun(void **state)
{
    struct fixture *f = *state;

    leave(1, PARLEY__TURN_STATE__TURN_STATE_RUNNING);
    start(f, 1, true);
    fake_store_run();
    assert_int_equal(f->verdict, CLAIM_NEWER);
    start(f, 2, true);
    fake_store_run();
    assert_int_equal(f->verdict, CLAIM_TAKEN);
}

static void test_losing_the_race_means_reading_again(void **state)
{
    struct fixture *f = *state;

    start(f, 1, false);
    fake_store_step();
    leave(0, PARLEY__TURN_STATE__TURN_STATE_CANCEL_ASKED); /* between our read and our write */
    fake_store_run();
    assert_int_equal(f->verdict, CLAIM_TAKEN);
    assert_int_equal(f->state, PARLEY__TURN_STATE__TURN_STATE_CANCEL_ASKED);
    assert_int_equal(fake_puts, 2);
}

static void test_a_write_that_was_done_after_all(void **state)
{
    struct fixture *f = *state;

    fake_put_error = ERR_TIMEOUT;
    fake_put_done = true;
    start(f, 1, false);
    fake_store_run();
    assert_int_equal(f->verdict, CLAIM_TAKEN);
    assert_int_equal(f->revision, fake_store_find("turn")->revision);
}

static void test_a_cancellation_stays_until_it_is_carried_out(void **state)
{
    struct fixture *f = *state;

    leave(0, PARLEY__TURN_STATE__TURN_STATE_CANCEL_ASKED);
    start(f, 1, false);
    fake_store_run();
    start(f, 2, false);
    fake_store_run();
    assert_int_equal(f->verdict, CLAIM_TAKEN);
    assert_int_equal(f->state, PARLEY__TURN_STATE__TURN_STATE_CANCEL_ASKED);
}

static void test_a_store_that_fails(void **state)
{
    struct fixture *f = *state;

    fake_put_error = ERR_FULL;
    start(f, 1, false);
    fake_store_run();
    assert_int_equal(f->verdict, CLAIM_FAILED);
    assert_int_equal(f->err, ERR_FULL);
    fake_store_write("turn", "\xff\xff\xff", 3);
    start(f, 1, false);
    fake_store_run();
    assert_int_equal(f->verdict, CLAIM_FAILED);
    assert_int_equal(f->err, ERR_INVALID);
}

static void test_a_cancelled_claim_calls_nobody(void **state)
{
    struct fixture *f = *state;

    start(f, 1, false);
    claim_cancel(&f->claim);
    fake_store_run();
    assert_int_equal(f->calls, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_new_turn),
        TEST(test_an_older_attempt_is_taken_over_with_its_text),
        TEST(test_a_cancellation_is_found),
        TEST(test_an_ended_turn_is_left_alone),
        TEST(test_a_newer_attempt_is_left_alone),
        TEST(test_a_late_job_that_nobody_began),
        TEST(test_a_late_job_that_was_given_up),
        TEST(test_a_late_job_that_was_begun),
        TEST(test_losing_the_race_means_reading_again),
        TEST(test_a_write_that_was_done_after_all),
        TEST(test_a_cancellation_stays_until_it_is_carried_out),
        TEST(test_a_store_that_fails),
        TEST(test_a_cancelled_claim_calls_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
