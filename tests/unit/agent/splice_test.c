#include "splice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SAID "The quick brown fox jumps over the lazy dog, and then it"

/* What is left of a continuation that comes in pieces of so many bytes. */
static enum splice_verdict join(const char *said_text, const char *text, size_t piece, char left[256])
{
    struct splice splice = {0};
    struct buf said = {0};
    enum splice_verdict verdict = SPLICE_OPEN;
    size_t at = 0, len = strlen(text);
    buf_append_text(&said, said_text);
    while (at < len && verdict == SPLICE_OPEN) {
        size_t next = len - at < piece ? len - at : piece;
        verdict = splice_add(&splice, &said, text + at, next);
        at += next;
    }
    if (verdict == SPLICE_OPEN)
        verdict = splice_end(&splice, &said);
    strcpy(left, "");
    if (verdict == SPLICE_FITS && splice.held.len > splice.overlap)
        strcpy(left, splice.held.data + splice.overlap);
    strcat(left, text + at);
    splice_deinit(&splice);
    buf_deinit(&said);
    return verdict;
}

static void assert_joins(const char *said, const char *text, const char *expected)
{
    char left[256];
    for (size_t piece = 1; piece < 100; piece = piece * 2 + 1) {
        assert_int_equal(join(said, text, piece, left), SPLICE_FITS);
        assert_string_equal(left, expected);
    }
}

static void test_what_goes_on_is_kept(void **state)
{
    (void)state;
    assert_joins(SAID, " slept.", " slept.");
    assert_joins(SAID, "The end.", "The end.");
    assert_joins("x", "x", "x");
    assert_joins("no, no, ", "no, never", "no, never"); /* too short to be a repetition */
    assert_joins(SAID, "", "");
}

static void test_the_last_words_again(void **state)
{
    (void)state;
    assert_joins(SAID, "and then it slept.", " slept.");
    assert_joins(SAID, "the lazy dog, and then it slept.", " slept.");
    assert_joins("Voilà l'été, l'hiver", "l'été, l'hiver et l'automne", " et l'automne");
}

static void test_all_of_it_again(void **state)
{
    (void)state;
    assert_joins(SAID, SAID " slept.", " slept.");
    assert_joins(SAID, SAID, "");
}

static void test_the_end_in_the_middle_of_a_repetition(void **state)
{
    (void)state;
    assert_joins(SAID, "the lazy dog", "");
}

static void test_a_few_last_words_are_no_repetition(void **state)
{
    (void)state;
    assert_joins("The first is 42. So the second is 42", ".", ".");
    assert_joins("The first is 42. So the second is 42", " 42.", " 42.");
    assert_joins(SAID, "The", "The");
}

static void test_another_answer(void **state)
{
    (void)state;
    char left[256];
    for (size_t piece = 1; piece < 40; piece += 6)
        assert_int_equal(join(SAID, "The quick brown fox jumps over a fence.", piece, left), SPLICE_AFRESH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_goes_on_is_kept),
        cmocka_unit_test(test_the_last_words_again),
        cmocka_unit_test(test_all_of_it_again),
        cmocka_unit_test(test_the_end_in_the_middle_of_a_repetition),
        cmocka_unit_test(test_a_few_last_words_are_no_repetition),
        cmocka_unit_test(test_another_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
