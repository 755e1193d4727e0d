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
    assert_null(buf.data);
    buf_printf(&buf, "%d", 7);
    assert_string_equal(buf.data, "7");
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

/* Prints `len` bytes where there is room for `room` of them and the zero byte. */
static void print_where_there_is_room_for(size_t room, int len)
{
    struct buf buf = {0};
    buf_reserve(&buf, 100);
    while (buf.cap - buf.len > room + 1)
        buf_append_char(&buf, '>');
    size_t before = buf.len, cap = buf.cap;
    buf_printf(&buf, "%0*d", len, 7);
    assert_int_equal(buf.len, before + (size_t)len);
    assert_int_equal(strspn(buf.data, ">"), before);
    assert_int_equal(strspn(buf.data + before, "0"), len - 1);
    assert_string_equal(buf.data + buf.len - 1, "7");
    assert_true((size_t)len <= room ? buf.cap == cap : buf.cap > buf.len);
    buf_deinit(&buf);
}

static void prints_into_the_room_there_is(void **state)
{
    (void)state;
    print_where_there_is_room_for(10, 9);
    print_where_there_is_room_for(10, 10);
}

static void makes_room_for_what_is_printed(void **state)
{
    (void)state;
    print_where_there_is_room_for(10, 11);
    print_where_there_is_room_for(10, 1000);
    print_where_there_is_room_for(0, 1);
}

static void prints_nothing_into_a_full_buffer(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_append_text(&buf, "x");
    while (buf.cap - buf.len > 1)
        buf_append_char(&buf, 'x');
    size_t len = buf.len, cap = buf.cap;
    buf_printf(&buf, "%s", "");
    assert_int_equal(buf.len, len);
    assert_int_equal(buf.cap, cap);
    assert_int_equal(strlen(buf.data), len);
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
        cmocka_unit_test(starts_without_memory),
        cmocka_unit_test(is_always_ended_by_zero),
        cmocka_unit_test(keeps_any_bytes),
        cmocka_unit_test(prints_more_than_it_holds),
        cmocka_unit_test(prints_into_the_room_there_is),
        cmocka_unit_test(makes_room_for_what_is_printed),
        cmocka_unit_test(prints_nothing_into_a_full_buffer),
        cmocka_unit_test(consumes_from_the_front),
        cmocka_unit_test(reserves_without_moving_later),
        cmocka_unit_test(moves_what_it_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
