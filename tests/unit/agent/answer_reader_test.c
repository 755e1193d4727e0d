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

static const struct completion_options options = {.provider = &provider_openai,
                                                  .first_token_timeout_ms = 1000,
                                                  .stall_timeout_ms = 100,
                                                  .max_event_bytes = 200,
                                                  .max_call_bytes = 200};

static void on_text(void *arg, const char *text, size_t len)
{
    buf_append(&((struct heard *)arg)->text, text, len);
}

static int set_up(void **state)
{
    static struct heard heard;
    heard = (struct heard){0};
    answer_reader_init(&heard.reader, &options, on_text, &heard, &heard.reason);
    answer_reader_asked(&heard.reader, 0);
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

static int feed(struct heard *heard, const char *bytes, uint64_t now_ms)
{
    return answer_reader_feed(&heard->reader, bytes, strlen(bytes), now_ms);
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
        assert_int_equal(answer_reader_feed(&heard->reader, at, 1, 0), ERR_NONE);
    assert_string_equal(heard->text.data, "wordword");
    assert_true(heard->reader.event_came);
    expect_finished(heard, false);
    assert_int_equal(feed(heard, FINISH, 0), ERR_NONE);
    expect_finished(heard, true);
    assert_int_equal(answer_reader_end(&heard->reader), ERR_NONE);
}

static void reads_one_piece_at_its_end(void **state)
{
    struct heard *heard = *state;
    for (const char *at = WHOLE; *at; at++)
        assert_int_equal(answer_reader_feed(&heard->reader, at, 1, 0), ERR_NONE);
    expect_finished(heard, false);
    assert_int_equal(answer_reader_end(&heard->reader), ERR_NONE);
    assert_string_equal(heard->text.data, "word");
    assert_false(heard->reader.event_came);
    expect_finished(heard, true);
}

static void is_kept_waiting_by_words_alone(void **state)
{
    struct heard *heard = *state;
    assert_int_equal(feed(heard, NOTHING, 1000), ERR_NONE);
    assert_int_equal(feed(heard, WORD, 1001), ERR_NONE);
    assert_int_equal(feed(heard, NOTHING, 1101), ERR_NONE);
    assert_int_equal(feed(heard, NOTHING, 1102), ERR_TIMEOUT);
    assert_true(heard->reader.progress > 0);
}

static void waits_for_the_first_word_from_the_asking_on(void **state)
{
    struct heard *heard = *state;
    answer_reader_asked(&heard->reader, 500);
    assert_int_equal(feed(heard, NOTHING, 1500), ERR_NONE);
    assert_int_equal(feed(heard, ": comment\n\n", 1501), ERR_TIMEOUT);
    assert_int_equal(heard->reader.progress, 0);
}

static void does_not_read_on_after_an_error(void **state)
{
    struct heard *heard = *state;
    assert_int_equal(feed(heard, WORD "data: nonsense\n\n" WORD, 0), ERR_INVALID);
    assert_int_equal(feed(heard, WORD, 0), ERR_INVALID);
    assert_string_equal(heard->text.data, "word");
    assert_string_equal(heard->reason.data, "an event is not JSON");
}

static void bounds_one_piece(void **state)
{
    struct heard *heard = *state;
    int err = ERR_NONE;
    size_t bytes = 0;
    for (; !err && bytes < 2 * options.max_event_bytes; bytes++)
        err = feed(heard, "{", 0);
    assert_int_equal(err, ERR_TOO_LARGE);
    assert_int_equal(bytes, options.max_event_bytes + 1);
    assert_string_equal(heard->reason.data, "its answer has more than 200 bytes");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_events_cut_at_every_byte),  TEST(reads_one_piece_at_its_end),
        TEST(is_kept_waiting_by_words_alone),  TEST(waits_for_the_first_word_from_the_asking_on),
        TEST(does_not_read_on_after_an_error), TEST(bounds_one_piece),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
