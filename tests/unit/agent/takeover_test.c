#include "takeover.h"

#include "fake_bus.h"
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
    struct transcript transcript;
    struct takeover *takeover;
    struct takeover_result result;
    int calls;
};

static void on_takeover(void *arg, const struct takeover_result *result)
{
    struct fixture *f = arg;

    f->calls++;
    f->result = *result;
}

static int setup(void **state)
{
    static struct fixture f;

    f = (struct fixture){.arena = wire_arena_new(8 << 20)};
    uv_loop_init(&f.loop);
    f.alarms = alarms_new(&f.loop);
    fake_store_reset();
    fake_bus_reset();
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    takeover_cancel(&f->takeover);
    alarms_free(&f->alarms);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    fake_store_run();
    fake_store_reset();
    fake_bus_reset();
    wire_arena_free(&f->arena);
    transcript_deinit(&f->transcript);
    return 0;
}

/* Until all gateways are asked. */
static void begin(struct fixture *f, uint32_t segments, const char *rest, const char *gateway)
{
    Parley__TurnRecord record = PARLEY__TURN_RECORD__INIT;
    struct takeover_options options = {.alarms = f->alarms,
                                       .arena = f->arena,
                                       .turn = "turn",
                                       .attempt = 2,
                                       .gateway = gateway,
                                       .transcript = &f->transcript};
    struct buf packed = {0};

    record.segments = segments;
    record.text = (ProtobufCBinaryData){strlen(rest), (uint8_t *)rest};
    record.length = segments * (uint64_t)SEGMENT_BYTES + strlen(rest);
    wire_pack(&record.base, &packed);
    takeover_start(&options, &packed, on_takeover, f, &f->takeover);
    fake_store_run();
}

static void gather(struct fixture *f)
{
    while (fake_message_count == 1)
        uv_run(&f->loop, UV_RUN_ONCE);
}

/* Until the one through which it was asked is asked, or none is. */
static void start(struct fixture *f, uint32_t segments, const char *rest, const char *gateway)
{
    begin(f, segments, rest, gateway);
    gather(f);
}

static void pack_delivered(const char *text, uint32_t steps, struct buf *out)
{
    Parley__Delivered delivered = PARLEY__DELIVERED__INIT;

    delivered.known = true;
    delivered.text = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    delivered.steps = steps;
    wire_pack(&delivered.base, out);
}

static bool deliver_from_another(const char *text)
{
    struct buf packed = {0};

    pack_delivered(text, 1, &packed);
    bool heard = fake_bus_send("parley.delivered.turn.2", packed.data, packed.len);
    buf_deinit(&packed);
    return heard;
}

static void deliver(const char *text, uint32_t steps)
{
    struct buf packed = {0};

    pack_delivered(text, steps, &packed);
    fake_bus_reply(1, ERR_NONE, packed.data, packed.len);
    buf_deinit(&packed);
}

static void assert_text(const struct fixture *f, const char *text)
{
    assert_int_equal(f->calls, 1);
    assert_int_equal(f->result.err, ERR_NONE);
    assert_int_equal(f->transcript.text.len, strlen(text));
    assert_memory_equal(f->transcript.text.data, text, strlen(text));
}

static void test_the_recorded_text_is_longer(void **state)
{
    struct fixture *f = *state;

    start(f, 0, "hello world", "gateway");
    assert_string_equal(fake_messages[0].subject, "parley.gateway.delivered");
    assert_string_equal(fake_messages[1].subject, "parley.gateway.gateway.delivered");
    deliver("hello", 2);
    assert_text(f, "hello world");
    assert_int_equal(f->result.sent, 5);
    assert_int_equal(f->result.steps, 2);
}

static void test_the_delivered_text_is_longer(void **state)
{
    struct fixture *f = *state;

    start(f, 0, "hello", "gateway");
    deliver("hello world", 0);
    assert_text(f, "hello world");
    assert_int_equal(f->result.sent, 11);
}

static void test_what_was_delivered_is_never_taken_back(void **state)
{
    struct fixture *f = *state;

    start(f, 0, "hello there", "gateway");
    deliver("hello world", 0);
    assert_text(f, "hello world");
    assert_int_equal(f->result.segments, 0);
}

static void test_another_gateway_has_more(void **state)
{
    struct fixture *f = *state;

    begin(f, 0, "hello", "gateway");
    assert_true(deliver_from_another("hello world"));
    gather(f);
    assert_false(deliver_from_another("too late"));
    deliver("hello", 0);
    assert_text(f, "hello world");
    assert_int_equal(f->result.sent, 5);
    assert_int_equal(f->result.steps, 0);
}

static void test_only_another_gateway_knows_it(void **state)
{
    struct fixture *f = *state;

    begin(f, 0, "hello", "gateway");
    assert_true(deliver_from_another("hello world"));
    gather(f);
    fake_bus_reply(1, ERR_NO_RESPONDERS, NULL, 0);
    assert_text(f, "hello world");
    assert_int_equal(f->result.sent, 0);
}

static void test_the_askers_gateway_has_the_last_word(void **state)
{
    struct fixture *f = *state;

    begin(f, 0, "hello", "gateway");
    assert_true(deliver_from_another("good bye"));
    gather(f);
    deliver("hello world", 0);
    assert_text(f, "hello world");
}

static void test_a_gateway_that_is_gone(void **state)
{
    struct fixture *f = *state;

    start(f, 0, "hello", "gateway");
    fake_bus_reply(1, ERR_NO_RESPONDERS, NULL, 0);
    assert_text(f, "hello");
    assert_int_equal(f->result.sent, 0);
}

static void test_a_silent_gateway_is_asked_twice(void **state)
{
    struct fixture *f = *state;

    start(f, 0, "hello", "gateway");
    fake_bus_reply(1, ERR_TIMEOUT, NULL, 0);
    assert_int_equal(f->calls, 0);
    assert_int_equal(fake_message_count, 3);
    fake_bus_reply(2, ERR_TIMEOUT, NULL, 0);
    assert_text(f, "hello");
    assert_int_equal(f->result.sent, 0);
}

static void test_segments_are_put_together(void **state)
{
    struct fixture *f = *state;
    static char segment[SEGMENT_BYTES];

    memset(segment, 'x', sizeof segment);
    fake_store_write("turn.0", segment, sizeof segment);
    fake_store_write("turn.1", segment, sizeof segment);
    start(f, 2, "end", NULL);
    assert_int_equal(f->calls, 1);
    assert_int_equal(f->result.err, ERR_NONE);
    assert_int_equal(f->result.segments, 2);
    assert_int_equal(f->transcript.text.len, 2 * SEGMENT_BYTES + 3);
}

/* A turn with a large step in segments, a small one in the record, and one that runs. */
static void pack_steps(struct transcript *before, uint32_t segments, struct buf *out)
{
    Parley__TurnRecord record = PARLEY__TURN_RECORD__INIT;
    struct stored_steps running;
    char large[SEGMENT_BYTES] = "";

    transcript_add(before, 1, "first", "tool", "{}", 2);
    transcript_finish(before, 0, true, large, sizeof large);
    transcript_add(before, 2, "second", "tool", "{}", 2);
    transcript_finish(before, 1, false, "no", 2);
    transcript_add(before, 3, "third", "tool", "{}", 2);
    fake_store_write("turn.s0", before->packed.data, SEGMENT_BYTES);
    stored_steps_init(&running, before, before->packed_count);
    record.step_segments = segments;
    record.packed_steps.data = (uint8_t *)before->packed.data + SEGMENT_BYTES;
    record.packed_steps.len = before->packed.len - SEGMENT_BYTES;
    record.n_steps = running.count;
    record.steps = running.pointers;
    wire_pack(&record.base, out);
    stored_steps_deinit(&running);
}

static void take_over_steps(struct fixture *f, struct transcript *before, uint32_t segments)
{
    const struct takeover_options options = {.arena = f->arena, .turn = "turn", .transcript = &f->transcript};
    struct buf packed = {0};

    pack_steps(before, segments, &packed);
    takeover_start(&options, &packed, on_takeover, f, &f->takeover);
    fake_store_run();
    assert_int_equal(f->calls, 1);
}

static void test_steps_are_put_together(void **state)
{
    struct fixture *f = *state;
    struct transcript before = {0};

    take_over_steps(f, &before, 1);
    assert_int_equal(f->result.err, ERR_NONE);
    assert_int_equal(f->transcript.step_count, 3);
    assert_int_equal(f->transcript.packed_count, 2);
    assert_int_equal(f->transcript.packed.len, before.packed.len);
    assert_memory_equal(f->transcript.packed.data, before.packed.data, before.packed.len);
    assert_string_equal(f->transcript.steps[0].call, "first");
    assert_int_equal(f->transcript.steps[0].result.len, SEGMENT_BYTES);
    assert_true(f->transcript.steps[1].finished && !f->transcript.steps[1].ok);
    assert_false(f->transcript.steps[2].finished);
    transcript_deinit(&before);
}

static void test_missing_steps_are_said(void **state)
{
    struct fixture *f = *state;
    struct transcript before = {0};

    take_over_steps(f, &before, 2);
    assert_int_equal(f->result.err, ERR_NOT_FOUND);
    transcript_deinit(&before);
}

static void test_steps_that_are_none_are_said(void **state)
{
    struct fixture *f = *state;
    struct transcript before = {0};

    take_over_steps(f, &before, 0);
    assert_int_equal(f->result.err, ERR_INVALID);
    transcript_deinit(&before);
}

static void test_a_missing_segment_is_said(void **state)
{
    struct fixture *f = *state;

    start(f, 1, "end", "gateway");
    deliver("", 0);
    assert_int_equal(f->result.err, ERR_NOT_FOUND);
}

static void test_a_missing_segment_that_the_gateway_has(void **state)
{
    struct fixture *f = *state;

    start(f, 1, "end", "gateway");
    deliver("all of it", 0);
    assert_text(f, "all of it");
    assert_int_equal(f->result.segments, 0);
}

static void test_what_is_no_text_is_refused(void **state)
{
    struct fixture *f = *state;

    start(f, 0, "\xff", NULL);
    assert_int_equal(f->result.err, ERR_INVALID);
}

static void test_choice(void **state)
{
    struct buf recorded = {0};

    (void)state;
    assert_int_equal(takeover_choose(&recorded, "", 0), TAKEOVER_RECORDED);
    assert_int_equal(takeover_choose(&recorded, "a", 1), TAKEOVER_EXTENDED);
    buf_append_text(&recorded, "ab");
    assert_int_equal(takeover_choose(&recorded, "ab", 2), TAKEOVER_RECORDED);
    assert_int_equal(takeover_choose(&recorded, "a", 1), TAKEOVER_RECORDED);
    assert_int_equal(takeover_choose(&recorded, "abc", 3), TAKEOVER_EXTENDED);
    assert_int_equal(takeover_choose(&recorded, "x", 1), TAKEOVER_REPLACED);
    buf_deinit(&recorded);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_recorded_text_is_longer),
        TEST(test_the_delivered_text_is_longer),
        TEST(test_what_was_delivered_is_never_taken_back),
        TEST(test_another_gateway_has_more),
        TEST(test_only_another_gateway_knows_it),
        TEST(test_the_askers_gateway_has_the_last_word),
        TEST(test_a_gateway_that_is_gone),
        TEST(test_a_silent_gateway_is_asked_twice),
        TEST(test_segments_are_put_together),
        TEST(test_steps_are_put_together),
        TEST(test_missing_steps_are_said),
        TEST(test_steps_that_are_none_are_said),
        TEST(test_a_missing_segment_is_said),
        TEST(test_a_missing_segment_that_the_gateway_has),
        TEST(test_what_is_no_text_is_refused),
        cmocka_unit_test(test_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
