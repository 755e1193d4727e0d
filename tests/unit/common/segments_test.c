#include "segments.h"

#include "fake_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct segments_reading *reading;
    struct buf text;
    int calls, err;
};

static void on_read(void *arg, int err)
{
    struct fixture *f = arg;
    assert_null(f->reading);
    f->calls++;
    f->err = err;
}

static void write_segment(uint32_t number, size_t len)
{
    static char segment[SEGMENT_BYTES];
    char key[SEGMENT_KEY_SIZE];
    memset(segment, 'a' + (int)number, sizeof segment);
    segment_key("turn", SEGMENTED_TEXT, number, key);
    fake_store_write(key, segment, len);
}

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){0};
    fake_store_reset();
    for (uint32_t i = 0; i < 3; i++)
        write_segment(i, SEGMENT_BYTES);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    segments_cancel(&f->reading);
    fake_store_run();
    fake_store_reset();
    buf_deinit(&f->text);
    return 0;
}

static void read_all(struct fixture *f, uint32_t first, uint32_t end)
{
    segments_read(NULL, "turn", SEGMENTED_TEXT, first, end, &f->text, on_read, f, &f->reading);
    fake_store_run();
    assert_int_equal(f->calls, 1);
}

static void test_keys(void **state)
{
    (void)state;
    char key[SEGMENT_KEY_SIZE];
    segment_key("turn", SEGMENTED_TEXT, 0, key);
    assert_string_equal(key, "turn.0");
    segment_key("turn", SEGMENTED_STEPS, UINT32_MAX, key);
    assert_string_equal(key, "turn.s4294967295");
}

static void test_they_come_in_order_behind_what_is_there(void **state)
{
    struct fixture *f = *state;
    buf_append_char(&f->text, '-');
    read_all(f, 1, 3);
    assert_int_equal(f->err, ERR_NONE);
    assert_int_equal(f->text.len, 1 + 2 * SEGMENT_BYTES);
    assert_int_equal(f->text.data[0], '-');
    assert_int_equal(f->text.data[SEGMENT_BYTES], 'b');
    assert_int_equal(f->text.data[SEGMENT_BYTES + 1], 'c');
}

static void test_none(void **state)
{
    struct fixture *f = *state;
    read_all(f, 3, 3);
    assert_int_equal(f->err, ERR_NONE);
    assert_int_equal(f->text.len, 0);
    assert_int_equal(fake_gets, 0);
}

static void test_a_missing_one(void **state)
{
    struct fixture *f = *state;
    read_all(f, 1, 5);
    assert_int_equal(f->err, ERR_NOT_FOUND);
    assert_int_equal(f->text.len, 2 * SEGMENT_BYTES);
}

static void test_one_that_is_not_full(void **state)
{
    struct fixture *f = *state;
    write_segment(1, SEGMENT_BYTES - 1);
    read_all(f, 0, 3);
    assert_int_equal(f->err, ERR_NOT_FOUND);
    assert_int_equal(f->text.len, SEGMENT_BYTES);
}

static void test_cancelled(void **state)
{
    struct fixture *f = *state;
    segments_read(NULL, "turn", SEGMENTED_TEXT, 0, 3, &f->text, on_read, f, &f->reading);
    fake_store_step();
    segments_cancel(&f->reading);
    assert_null(f->reading);
    fake_store_run();
    assert_int_equal(f->calls, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_keys),
        TEST(test_they_come_in_order_behind_what_is_there),
        TEST(test_none),
        TEST(test_a_missing_one),
        TEST(test_one_that_is_not_full),
        TEST(test_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
