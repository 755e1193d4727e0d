#include "answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LIMIT 1000

static int setup(void **state)
{
    struct answer *answer = calloc(1, sizeof *answer);
    answer_init(answer, LIMIT);
    *state = answer;
    return 0;
}

static int teardown(void **state)
{
    answer_deinit(*state);
    free(*state);
    return 0;
}

static enum answer_news add(struct answer *answer, uint64_t offset, const char *text)
{
    return answer_add_text(answer, offset, text, strlen(text));
}

static void assert_text(const struct answer *answer, const char *text)
{
    assert_int_equal(answer->text.len, strlen(text));
    assert_memory_equal(answer->text.data, text, strlen(text));
}

static void test_text_in_order(void **state)
{
    struct answer *answer = *state;
    assert_int_equal(add(answer, 0, "one "), ANSWER_NEW);
    assert_int_equal(add(answer, 4, "two"), ANSWER_NEW);
    assert_text(answer, "one two");
}

/* Every way of cutting a text in two, sent with every overlap and every gap. */
static void test_overlaps_and_gaps(void **state)
{
    (void)state;
    static const char text[] = "abcdefgh";
    const size_t len = strlen(text);
    for (size_t first = 0; first <= len; first++) {
        for (size_t offset = 0; offset <= len; offset++) {
            struct answer answer;
            answer_init(&answer, LIMIT);
            enum answer_news begun = answer_add_text(&answer, 0, text, first);
            assert_int_equal(begun, first ? ANSWER_NEW : ANSWER_KNOWN);
            enum answer_news news = answer_add_text(&answer, offset, text + offset, len - offset);
            if (offset > first) {
                assert_int_equal(news, ANSWER_GAP);
                assert_int_equal(answer.text.len, first);
            } else {
                assert_int_equal(news, first == len ? ANSWER_KNOWN : ANSWER_NEW);
                assert_text(&answer, text);
            }
            answer_deinit(&answer);
        }
    }
}

/* It is closed when its place is reached, and not by anything that comes before that. */
static void test_a_gap_lasts_up_to_its_place(void **state)
{
    struct answer *answer = *state;
    assert_int_equal(add(answer, 0, "one "), ANSWER_NEW);
    assert_false(answer_has_gap(answer));
    assert_int_equal(add(answer, 8, "three"), ANSWER_GAP);
    assert_true(answer_has_gap(answer));
    assert_int_equal(add(answer, 4, "tw"), ANSWER_NEW);
    assert_true(answer_has_gap(answer));
    assert_int_equal(add(answer, 6, "o "), ANSWER_NEW);
    assert_false(answer_has_gap(answer));
    assert_int_equal(answer_stands_at(answer, 8, 1), ANSWER_GAP);
    assert_int_equal(add(answer, 8, "three"), ANSWER_NEW);
    assert_true(answer_has_gap(answer));
    const struct answer_tool tool = {.step = 1, .call = "c", .name = "n", .data = "", .offset = 8};
    assert_int_equal(answer_add_step(answer, &tool), ANSWER_NEW);
    assert_false(answer_has_gap(answer));
    assert_int_equal(answer_finish(answer, ANSWER_COMPLETED, 15, 1), ANSWER_GAP);
    assert_true(answer_has_gap(answer));
    assert_int_equal(add(answer, 13, "!!"), ANSWER_NEW);
    assert_false(answer_has_gap(answer));
}

static void test_what_was_delivered_is_not_taken_back(void **state)
{
    struct answer *answer = *state;
    assert_int_equal(add(answer, 0, "the cat"), ANSWER_NEW);
    assert_int_equal(add(answer, 4, "dog and more"), ANSWER_BROKEN);
    assert_int_equal(add(answer, 4, "dog"), ANSWER_BROKEN);
    assert_text(answer, "the cat");
}

static void test_text_must_be_utf8(void **state)
{
    struct answer *answer = *state;
    assert_int_equal(answer_add_text(answer, 0, "\xc3", 1), ANSWER_BROKEN);
    assert_int_equal(answer_add_text(answer, 0, "a\xff", 2), ANSWER_BROKEN);
    assert_int_equal(answer_add_text(answer, 0, "a\0b", 3), ANSWER_NEW);
    assert_int_equal(answer->text.len, 3);
    assert_int_equal(add(answer, UINT64_MAX, "x"), ANSWER_GAP);
}

static void test_text_is_bounded(void **state)
{
    struct answer *answer = *state;
    char text[LIMIT + 1];
    memset(text, 'x', sizeof text);
    assert_int_equal(answer_add_text(answer, 0, text, sizeof text), ANSWER_TOO_LARGE);
    assert_int_equal(answer_add_text(answer, 0, text, LIMIT), ANSWER_NEW);
    assert_int_equal(add(answer, LIMIT, "x"), ANSWER_TOO_LARGE);
    assert_int_equal(answer_add_text(answer, LIMIT, "", 0), ANSWER_KNOWN);
}

static void test_older_attempts_count_no_more(void **state)
{
    struct answer *answer = *state;
    assert_true(answer_hear(answer, 0));
    assert_false(answer->started);
    assert_true(answer_hear(answer, 1));
    assert_true(answer->started);
    assert_true(answer_hear(answer, 3));
    assert_false(answer_hear(answer, 2));
    assert_false(answer_hear(answer, 0));
    assert_true(answer_hear(answer, 3));
}

static void test_vendor_is_kept(void **state)
{
    struct answer *answer = *state;
    answer_start(answer, "openai", "m1");
    answer_start(answer, "", NULL);
    assert_string_equal(answer->vendor, "openai");
    answer_start(answer, "other", "m2");
    assert_string_equal(answer->vendor, "other");
    assert_string_equal(answer->model, "m2");
}

static struct answer_tool step_of(uint32_t step, uint64_t offset, const char *data)
{
    return (struct answer_tool){
        .step = step, .offset = offset, .call = "c1", .name = "calculator", .data = data, .data_len = strlen(data)};
}

static void test_steps_are_counted(void **state)
{
    struct answer *answer = *state;
    struct answer_tool second = step_of(2, 0, "{}"), first = step_of(1, 0, "{}"), none = step_of(0, 0, "{}");
    assert_int_equal(answer_add_step(answer, &none), ANSWER_BROKEN);
    assert_int_equal(answer_add_step(answer, &second), ANSWER_GAP);
    assert_int_equal(answer_add_step(answer, &first), ANSWER_NEW);
    assert_int_equal(answer_add_step(answer, &first), ANSWER_KNOWN);
    assert_int_equal(answer_add_step(answer, &second), ANSWER_NEW);
    assert_int_equal(answer->step_count, 2);
}

static void test_steps_stand_between_code_points(void **state)
{
    struct answer *answer = *state;
    assert_int_equal(add(answer, 0, "a\xc3\xa9"), ANSWER_NEW);
    struct answer_tool within = step_of(1, 2, ""), beyond = step_of(1, 4, ""), at_end = step_of(1, 3, "");
    assert_int_equal(answer_add_step(answer, &within), ANSWER_BROKEN);
    assert_int_equal(answer_add_step(answer, &beyond), ANSWER_GAP);
    assert_int_equal(answer_add_step(answer, &at_end), ANSWER_NEW);
}

static void test_too_much_of_a_tool_is_left_out(void **state)
{
    struct answer *answer = *state;
    char result[LIMIT + 2];
    memset(result, '1', sizeof result - 1);
    result[sizeof result - 1] = '\0';
    struct answer_tool large = step_of(1, 0, result), bad = step_of(2, 0, "\xff");
    assert_int_equal(answer_add_step(answer, &large), ANSWER_NEW);
    assert_int_equal(answer_add_step(answer, &bad), ANSWER_NEW);
    assert_int_equal(answer->steps[0].data.len, 0);
    assert_int_equal(answer->steps[1].data.len, 0);
}

static void test_end_is_reached_when_all_is_there(void **state)
{
    struct answer *answer = *state;
    assert_int_equal(answer_finish(answer, ANSWER_COMPLETED, 3, 1), ANSWER_GAP);
    assert_false(answer_ended(answer));
    assert_int_equal(answer_finish(answer, ANSWER_FAILED, 0, 0), ANSWER_GAP);
    assert_int_equal(answer->end, ANSWER_COMPLETED);
    assert_int_equal(add(answer, 0, "abc"), ANSWER_NEW);
    assert_false(answer_ended(answer));
    struct answer_tool tool = step_of(1, 3, "");
    assert_int_equal(answer_add_step(answer, &tool), ANSWER_NEW);
    assert_true(answer_ended(answer));
    assert_int_equal(answer_finish(answer, ANSWER_COMPLETED, 3, 1), ANSWER_KNOWN);
}

static void test_failure(void **state)
{
    struct answer *answer = *state;
    answer_set_reason(answer, "bad \xff", 5);
    assert_int_equal(answer_finish(answer, ANSWER_FAILED, 0, 0), ANSWER_NEW);
    assert_string_equal(answer->reason.data, "bad \xef\xbf\xbd");
    answer_set_reason(answer, "later", 5);
    assert_string_equal(answer->reason.data, "bad \xef\xbf\xbd");
}

static void test_finish_here(void **state)
{
    struct answer *answer = *state;
    assert_int_equal(answer_finish(answer, ANSWER_COMPLETED, 100, 4), ANSWER_GAP);
    answer_finish_here(answer, ANSWER_CANCELLED);
    assert_true(answer_ended(answer));
    assert_int_equal(answer->end, ANSWER_CANCELLED);
}

static void test_stands_at(void **state)
{
    struct answer *answer = *state;
    assert_int_equal(answer_stands_at(answer, 0, 0), ANSWER_KNOWN);
    assert_int_equal(answer_stands_at(answer, 1, 0), ANSWER_GAP);
    assert_int_equal(answer_stands_at(answer, 0, 1), ANSWER_GAP);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_text_in_order),
        TEST(test_overlaps_and_gaps),
        TEST(test_a_gap_lasts_up_to_its_place),
        TEST(test_what_was_delivered_is_not_taken_back),
        TEST(test_text_must_be_utf8),
        TEST(test_text_is_bounded),
        TEST(test_older_attempts_count_no_more),
        TEST(test_vendor_is_kept),
        TEST(test_steps_are_counted),
        TEST(test_steps_stand_between_code_points),
        TEST(test_too_much_of_a_tool_is_left_out),
        TEST(test_end_is_reached_when_all_is_there),
        TEST(test_failure),
        TEST(test_finish_here),
        TEST(test_stands_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
