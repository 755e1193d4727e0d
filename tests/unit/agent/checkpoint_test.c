#include "checkpoint.h"

#include "fake_store.h"
#include "segments.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    uv_loop_t loop;
    struct alarms *alarms;
    struct wire_arena *arena;
    struct metrics *metrics;
    struct transcript transcript;
    struct checkpoint *checkpoint;
    int lost, cancel_asked, written, failed;
};

static void on_lost(void *arg)
{
    ((struct fixture *)arg)->lost++;
}

static void on_cancel_asked(void *arg)
{
    ((struct fixture *)arg)->cancel_asked++;
}

static void on_written(void *arg)
{
    ((struct fixture *)arg)->written++;
}

static void on_failed(void *arg, int err)
{
    (void)err;
    ((struct fixture *)arg)->failed++;
}

static void write_other(uint32_t attempt, Parley__TurnState state)
{
    Parley__TurnRecord record = PARLEY__TURN_RECORD__INIT;
    struct buf packed = {0};

    record.turn = (char *)"turn";
    record.attempt = attempt;
    record.state = state;
    wire_pack(&record.base, &packed);
    fake_store_write("turn", packed.data, packed.len);
    buf_deinit(&packed);
}

static int setup(void **state)
{
    static struct fixture f;
    static const struct checkpoint_handlers handlers = {on_lost, on_cancel_asked, on_written, on_failed};

    f = (struct fixture){0};
    fake_store_reset();
    uv_loop_init(&f.loop);
    f.alarms = alarms_new(&f.loop);
    f.arena = wire_arena_new(8 << 20);
    f.metrics = metrics_new();
    write_other(2, PARLEY__TURN_STATE__TURN_STATE_RUNNING); /* our claim */
    const struct checkpoint_options options = {
        .alarms = f.alarms,
        .arena = f.arena,
        .transcript = &f.transcript,
        .turn = "turn",
        .vendor = "openai",
        .model = "m",
        .attempt = 2,
        .message_id = 7,
        .interval_ms = 20,
        .writes = metrics_counter(f.metrics, "writes", "writes", NULL),
    };
    f.checkpoint = checkpoint_new(&options, fake_store_find("turn")->revision, 0, &handlers, &f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    checkpoint_free(&f->checkpoint);
    alarms_free(&f->alarms);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    fake_store_run(); /* what was walked away from calls nobody */
    fake_store_reset();
    wire_arena_free(&f->arena);
    metrics_free(&f->metrics);
    transcript_deinit(&f->transcript);
    return 0;
}

static void grow(struct fixture *f, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        buf_append_char(&f->transcript.text, (char)('a' + f->transcript.text.len % 26));
    checkpoint_touch(f->checkpoint);
}

/* The whole text, as a reader puts it together. */
static void assert_record(struct fixture *f, Parley__TurnState turn_state)
{
    const struct fake_entry *entry = fake_store_find("turn");
    Parley__TurnRecord *record;
    struct buf text = {0};
    char key[] = "turn.0";

    assert_int_equal(
        wire_unpack(f->arena, &parley__turn_record__descriptor, entry->value.data, entry->value.len, &record),
        ERR_NONE);
    for (uint32_t i = 0; i < record->segments; i++) {
        key[5] = (char)('0' + i);
        const struct fake_entry *segment = fake_store_find(key);
        assert_non_null(segment);
        assert_int_equal(segment->value.len, SEGMENT_BYTES);
        buf_append(&text, segment->value.data, segment->value.len);
    }
    assert_true(record->text.len < SEGMENT_BYTES);
    buf_append(&text, record->text.data, record->text.len);
    assert_int_equal(record->length, text.len);
    assert_int_equal(text.len, f->transcript.text.len);
    if (text.len > 0)
        assert_memory_equal(text.data, f->transcript.text.data, text.len);
    assert_int_equal(record->state, turn_state);
    assert_int_equal(record->attempt, 2);
    assert_int_equal(record->message_id, 7);
    buf_deinit(&text);
}

static void wait_for_alarm(struct fixture *f)
{
    while (fake_store_waiting() == 0)
        uv_run(&f->loop, UV_RUN_ONCE);
}

static void test_a_short_turn_writes_once(void **state)
{
    struct fixture *f = *state;

    grow(f, 100);
    assert_int_equal(fake_puts, 0);
    checkpoint_seal(f->checkpoint, PARLEY__TURN_STATE__TURN_STATE_COMPLETED, NULL);
    fake_store_run();
    assert_int_equal(fake_puts, 1);
    assert_int_equal(f->written, 1);
    assert_record(f, PARLEY__TURN_STATE__TURN_STATE_COMPLETED);
}

static void test_text_is_written_within_the_interval(void **state)
{
    struct fixture *f = *state;

    grow(f, 10);
    grow(f, 10);
    wait_for_alarm(f);
    assert_int_equal(fake_puts, 1);
    fake_store_run();
    assert_record(f, PARLEY__TURN_STATE__TURN_STATE_RUNNING);
    assert_int_equal(f->written, 1);
}

static void test_one_write_at_a_time(void **state)
{
    struct fixture *f = *state;

    grow(f, 10);
    checkpoint_hurry(f->checkpoint);
    grow(f, 10);
    checkpoint_hurry(f->checkpoint);
    checkpoint_seal(f->checkpoint, PARLEY__TURN_STATE__TURN_STATE_FAILED, "because");
    assert_int_equal(fake_store_waiting(), 1);
    fake_store_step();
    assert_int_equal(f->written, 0);
    fake_store_run();
    assert_int_equal(fake_puts, 2);
    assert_int_equal(f->written, 1);
    assert_record(f, PARLEY__TURN_STATE__TURN_STATE_FAILED);
}

static void test_long_text_goes_into_segments(void **state)
{
    struct fixture *f = *state;

    grow(f, 3 * SEGMENT_BYTES + 5);
    checkpoint_hurry(f->checkpoint);
    fake_store_run();
    assert_int_equal(fake_puts, 4);
    assert_record(f, PARLEY__TURN_STATE__TURN_STATE_RUNNING);
    grow(f, 10);
    checkpoint_hurry(f->checkpoint);
    fake_store_run();
    assert_int_equal(fake_puts, 5); /* segments are written once */
    assert_record(f, PARLEY__TURN_STATE__TURN_STATE_RUNNING);
}

static void add_step(struct fixture *f, uint32_t round, size_t bytes)
{
    struct buf result = {0};

    for (size_t i = 0; i < bytes; i++)
        buf_append_char(&result, (char)('a' + i % 26));
    transcript_add(&f->transcript, round, "call", "tool", "{}", 2);
    transcript_finish(&f->transcript, f->transcript.step_count - 1, true, result.data, result.len);
    checkpoint_hurry(f->checkpoint);
    fake_store_run();
    buf_deinit(&result);
}

static const Parley__TurnRecord *read_record(struct fixture *f)
{
    const struct fake_entry *entry = fake_store_find("turn");
    Parley__TurnRecord *record;

    assert_int_equal(
        wire_unpack(f->arena, &parley__turn_record__descriptor, entry->value.data, entry->value.len, &record),
        ERR_NONE);
    return record;
}

static void test_steps_go_into_segments_and_into_the_sealed_record(void **state)
{
    struct fixture *f = *state;
    const struct buf *packed = &f->transcript.packed;

    add_step(f, 1, 10);
    assert_int_equal(read_record(f)->step_segments, 0);
    add_step(f, 2, 2 * SEGMENT_BYTES);
    assert_int_equal(fake_puts, 1 + 3);
    const Parley__TurnRecord *record = read_record(f);
    assert_int_equal(record->step_segments, 2);
    assert_int_equal(record->n_steps, 0);
    assert_int_equal(record->packed_steps.len, packed->len - 2 * SEGMENT_BYTES);
    assert_memory_equal(record->packed_steps.data, packed->data + 2 * SEGMENT_BYTES, record->packed_steps.len);
    assert_memory_equal(fake_store_find("turn.s0")->value.data, packed->data, SEGMENT_BYTES);
    assert_memory_equal(fake_store_find("turn.s1")->value.data, packed->data + SEGMENT_BYTES, SEGMENT_BYTES);

    transcript_add(&f->transcript, 3, "call", "tool", "{}", 2);
    grow(f, 10);
    checkpoint_hurry(f->checkpoint);
    fake_store_run();
    assert_int_equal(fake_puts, 5);
    record = read_record(f);
    assert_int_equal(record->n_steps, 1);
    assert_false(record->steps[0]->finished);

    transcript_finish(&f->transcript, 2, true, "1", 1);
    checkpoint_seal(f->checkpoint, PARLEY__TURN_STATE__TURN_STATE_COMPLETED, NULL);
    fake_store_run();
    record = read_record(f);
    assert_int_equal(record->n_steps, 3);
    assert_int_equal(record->step_segments, 0);
    assert_int_equal(record->packed_steps.len, 0);
}

static void test_a_dead_attempts_segment_is_overwritten(void **state)
{
    struct fixture *f = *state;
    uint64_t claim;

    checkpoint_free(&f->checkpoint);
    fake_store_write("turn.0", "stale", 5);
    write_other(2, PARLEY__TURN_STATE__TURN_STATE_RUNNING);
    claim = fake_store_find("turn")->revision;
    static const struct checkpoint_handlers handlers = {on_lost, on_cancel_asked, on_written, on_failed};
    const struct checkpoint_options options = {.alarms = f->alarms,
                                               .arena = f->arena,
                                               .transcript = &f->transcript,
                                               .turn = "turn",
                                               .vendor = "v",
                                               .model = "m",
                                               .attempt = 2,
                                               .message_id = 7,
                                               .interval_ms = 20,
                                               .writes = metrics_counter(f->metrics, "w", "w", NULL)};
    f->checkpoint = checkpoint_new(&options, claim, 0, &handlers, f);
    grow(f, SEGMENT_BYTES);
    checkpoint_hurry(f->checkpoint);
    fake_store_run();
    assert_int_equal(f->lost, 0);
    assert_record(f, PARLEY__TURN_STATE__TURN_STATE_RUNNING);
}

static void test_a_later_attempts_segment_is_left_alone(void **state)
{
    struct fixture *f = *state;

    write_other(3, PARLEY__TURN_STATE__TURN_STATE_RUNNING);
    fake_store_write("turn.0", "newer", 5);
    grow(f, SEGMENT_BYTES);
    checkpoint_hurry(f->checkpoint);
    fake_store_run();
    assert_int_equal(f->lost, 1);
    assert_memory_equal(fake_store_find("turn.0")->value.data, "newer", 5);
}

/* So many bytes are written, but its writer hears of an error, and writes them again. */
static void write_unheard(struct fixture *f, size_t bytes)
{
    grow(f, bytes);
    fake_put_error = ERR_TIMEOUT;
    fake_put_done = true;
    checkpoint_hurry(f->checkpoint);
    fake_store_run();
    assert_int_equal(f->failed, 1);
    checkpoint_hurry(f->checkpoint); /* conflicts with itself, and sees that */
    fake_store_run();
    assert_int_equal(f->lost, 0);
    assert_int_equal(f->written, 1);
    assert_record(f, PARLEY__TURN_STATE__TURN_STATE_RUNNING);
}

static void test_a_segment_that_was_written_after_all(void **state)
{
    struct fixture *f = *state;

    write_unheard(f, SEGMENT_BYTES + 5);
}

/* It was taken over from, and does not know. */
static void test_a_late_segment_of_an_earlier_attempt_is_overwritten(void **state)
{
    struct fixture *f = *state;

    fake_store_write("turn.0", "earlier", 7);
    grow(f, SEGMENT_BYTES);
    checkpoint_hurry(f->checkpoint);
    fake_store_run();
    assert_int_equal(f->lost, 0);
    assert_record(f, PARLEY__TURN_STATE__TURN_STATE_RUNNING);
}

static void test_another_attempts_record_ends_it(void **state)
{
    struct fixture *f = *state;

    write_other(3, PARLEY__TURN_STATE__TURN_STATE_RUNNING);
    grow(f, 10);
    checkpoint_hurry(f->checkpoint);
    fake_store_run();
    assert_int_equal(f->lost, 1);
    checkpoint_hurry(f->checkpoint);
    assert_int_equal(fake_store_waiting(), 0);
    assert_int_equal(f->written, 0);
}

static void test_a_write_that_was_done_after_all(void **state)
{
    struct fixture *f = *state;

    write_unheard(f, 10);
}

static void test_a_failed_write_is_tried_again(void **state)
{
    struct fixture *f = *state;

    grow(f, 10);
    fake_put_error = ERR_DISCONNECTED;
    checkpoint_hurry(f->checkpoint);
    fake_store_run();
    wait_for_alarm(f);
    fake_store_run();
    assert_int_equal(f->written, 1);
    assert_record(f, PARLEY__TURN_STATE__TURN_STATE_RUNNING);
}

static void test_a_cancellation_left_in_the_record(void **state)
{
    struct fixture *f = *state;

    write_other(2, PARLEY__TURN_STATE__TURN_STATE_CANCEL_ASKED);
    grow(f, 10);
    checkpoint_hurry(f->checkpoint);
    fake_store_run();
    assert_int_equal(f->cancel_asked, 1);
    assert_int_equal(f->lost, 0);
    assert_record(f, PARLEY__TURN_STATE__TURN_STATE_CANCEL_ASKED); /* until it is carried out */
    checkpoint_seal(f->checkpoint, PARLEY__TURN_STATE__TURN_STATE_CANCELLED, NULL);
    fake_store_run();
    assert_record(f, PARLEY__TURN_STATE__TURN_STATE_CANCELLED);
}

static void test_what_is_too_large_is_not_tried_again(void **state)
{
    struct fixture *f = *state;

    fake_put_error = ERR_TOO_LARGE;
    checkpoint_seal(f->checkpoint, PARLEY__TURN_STATE__TURN_STATE_COMPLETED, NULL);
    fake_store_run();
    assert_int_equal(f->failed, 1);
    checkpoint_hurry(f->checkpoint);
    assert_int_equal(fake_store_waiting(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_short_turn_writes_once),
        TEST(test_text_is_written_within_the_interval),
        TEST(test_one_write_at_a_time),
        TEST(test_long_text_goes_into_segments),
        TEST(test_steps_go_into_segments_and_into_the_sealed_record),
        TEST(test_a_dead_attempts_segment_is_overwritten),
        TEST(test_a_later_attempts_segment_is_left_alone),
        TEST(test_a_segment_that_was_written_after_all),
        TEST(test_a_late_segment_of_an_earlier_attempt_is_overwritten),
        TEST(test_another_attempts_record_ends_it),
        TEST(test_a_write_that_was_done_after_all),
        TEST(test_a_failed_write_is_tried_again),
        TEST(test_a_cancellation_left_in_the_record),
        TEST(test_what_is_too_large_is_not_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
