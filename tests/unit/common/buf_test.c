#include "buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void starts_without_memory(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_reset(&buf);
    buf_consume(&buf, 10);
    buf_printf(&buf, "%s", "");
    assert_int_equal(buf.len, 0);
    buf_deinit(&buf);
    buf_deinit(&buf);
}

static void is_always_ended_by_zero(void **state)
{
    (void)state;
    struct buf buf = {0};
    for (size_t i = 0; i < 1000; i++) {
        buf_append_char(&buf, (char)('a' + i % 26));
        assert_int_equal(buf.len, i + 1);
        assert_int_equal(buf.data[buf.len], 0);
        assert_true(buf.cap > buf.len);
    }
    buf_reset(&buf);
    assert_string_equal(buf.data, "");
    buf_deinit(&buf);
}

static void keeps_any_bytes(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_append(&buf, "a\0b", 3);
    buf_append(&buf, NULL, 0);
    buf_append_text(&buf, "cd");
    buf_printf(&buf, "-%d-%s", 42, "xyz");
    assert_int_equal(buf.len, 12);
    assert_memory_equal(buf.data, "a\0bcd-42-xyz", 13);
    buf_deinit(&buf);
}

static void prints_more_than_it_holds(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_append_text(&buf, ">");
    buf_printf(&buf, "%*d", 5000, 7);
    assert_int_equal(buf.len, 5001);
    assert_int_equal(buf.data[5000], '7');
    assert_int_equal(buf.data[5001], 0);
    buf_deinit(&buf);
}

static void consumes_from_the_front(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_append_text(&buf, "hello world");
    buf_consume(&buf, 0);
    buf_consume(&buf, 6);
    assert_string_equal(buf.data, "world");
    assert_int_equal(buf.len, 5);
    buf_consume(&buf, 6);
    assert_string_equal(buf.data, "");
    assert_int_equal(buf.len, 0);
    buf_deinit(&buf);
}

static void reserves_without_moving_later(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_reserve(&buf, 100000);
    const char *data = buf.data;
    for (int i = 0; i < 100000; i++)
        buf_append_char(&buf, 'x');
    assert_ptr_equal(buf.data, data);
    buf_deinit(&buf);
}

static void moves_what_it_holds(void **state)
{
    (void)state;
    struct buf from = {0}, to = {0};
    buf_append_text(&from, "new");
    buf_append_text(&to, "old");
    buf_move(&to, &from);
    assert_string_equal(to.data, "new");
    assert_null(from.data);
    assert_int_equal(from.len, 0);
    buf_move(&to, &from);
    assert_null(to.data);
    buf_deinit(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_without_memory),   cmocka_unit_test(is_always_ended_by_zero),
        cmocka_unit_test(keeps_any_bytes),         cmocka_unit_test(prints_more_than_it_holds),
        cmocka_unit_test(consumes_from_the_front), cmocka_unit_test(reserves_without_moving_later),
        cmocka_unit_test(moves_what_it_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
