#include "answer_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define WORD    "data: {\"choices\":[{\"delta\":{\"content\":\"word\"}}]}\n\n"
#define NOTHING "data: {\"choices\":[{\"delta\":{\"content\":\"\"}}]}\n\n"
#define FINISH  "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define WHOLE   " {\"choices\":[{\"message\":{\"content\":\"word\"},\"finish_reason\":\"stop\"}]}"

struct heard {
    struct answer_reader reader;
    struct buf text, reason;
};

static const struct completion_options options = {
    .provider = &provider_openai, .max_event_bytes = 200, .max_call_bytes = 200};

static void on_text(void *arg, const char *text, size_t len)
{
    buf_append(&((struct heard *)arg)->text, text, len);
}

static int set_up(void **state)
{
    static struct heard heard;
    heard = (struct heard){0};
    answer_reader_init(&heard.reader, &options, on_text, &heard, &heard.reason);
    *state = &heard;
    return 0;
}

static int tear_down(void **state)
{
    struct heard *heard = *state;
    answer_reader_deinit(&heard->reader);
    buf_deinit(&heard->text);
    buf_deinit(&heard->reason);
    return 0;
}

static int feed(struct heard *heard, const char *bytes)
{
    return answer_reader_feed(&heard->reader, bytes, strlen(bytes));
}

static void expect_finished(struct heard *heard, bool finished)
{
    struct provider_outcome outcome;
    assert_int_equal(answer_reader_finished(&heard->reader, &outcome), finished);
}

static void reads_events_cut_at_every_byte(void **state)
{
    struct heard *heard = *state;
    for (const char *at = "\r\n" WORD WORD; *at; at++)
        assert_int_equal(answer_reader_feed(&heard->reader, at, 1), ERR_NONE);
    assert_string_equal(heard->text.data, "wordword");
    assert_true(heard->reader.event_came);
    expect_finished(heard, false);
    assert_int_equal(feed(heard, FINISH), ERR_NONE);
    expect_finished(heard, true);
    assert_int_equal(answer_reader_end(&heard->reader), ERR_NONE);
}

static void reads_one_piece_at_its_end(void **state)
{
    struct heard *heard = *state;
    for (const char *at = WHOLE; *at; at++)
        assert_int_equal(answer_reader_feed(&heard->reader, at, 1), ERR_NONE);
    expect_finished(heard, false);
    assert_int_equal(answer_reader_end(&heard->reader), ERR_NONE);
    assert_string_equal(heard->text.data, "word");
    assert_false(heard->reader.event_came);
    expect_finished(heard, true);
}

static void only_what_is_not_empty_is_progress(void **state)
{
    static const char *const nothings[] = {"\n", ": comment\n\n", NOTHING, "data: {\"choices\":[]}\n\n"};
    struct heard *heard = *state;
    for (uint64_t words = 0; words < 3; words++) {
        uint64_t before = heard->reader.progress;
        assert_int_equal(before > 0, words > 0);
        for (size_t i = 0; i < sizeof nothings / sizeof *nothings; i++)
            assert_int_equal(feed(heard, nothings[i]), ERR_NONE);
        assert_int_equal(heard->reader.progress, before);
        assert_int_equal(feed(heard, WORD), ERR_NONE);
        assert_true(heard->reader.progress > before);
    }
}

static void one_piece_is_no_progress_until_it_ends(void **state)
{
    struct heard *heard = *state;
    assert_int_equal(feed(heard, WHOLE), ERR_NONE);
    assert_int_equal(heard->reader.progress, 0);
}

static void the_end_is_progress(void **state)
{
    struct heard *heard = *state;
    assert_int_equal(feed(heard, WORD), ERR_NONE);
    uint64_t before = heard->reader.progress;
    assert_int_equal(feed(heard, FINISH), ERR_NONE);
    assert_true(heard->reader.progress > before);
}

static void does_not_read_on_after_an_error(void **state)
{
    struct heard *heard = *state;
    assert_int_equal(feed(heard, WORD "data: nonsense\n\n" WORD), ERR_INVALID);
    assert_int_equal(feed(heard, WORD), ERR_INVALID);
    assert_string_equal(heard->text.data, "word");
    assert_string_equal(heard->reason.data, "an event is not JSON");
}

static void bounds_one_piece(void **state)
{
    struct heard *heard = *state;
    int err = ERR_NONE;
    size_t bytes = 0;
    for (; !err && bytes < 2 * options.max_event_bytes; bytes++)
        err = feed(heard, "{");
    assert_int_equal(err, ERR_TOO_LARGE);
    assert_int_equal(bytes, options.max_event_bytes + 1);
    assert_string_equal(heard->reason.data, "its answer has more than 200 bytes");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_events_cut_at_every_byte),
        TEST(reads_one_piece_at_its_end),
        TEST(only_what_is_not_empty_is_progress),
        TEST(one_piece_is_no_progress_until_it_ends),
        TEST(the_end_is_progress),
        TEST(does_not_read_on_after_an_error),
        TEST(bounds_one_piece),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
