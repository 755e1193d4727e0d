#include "utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One to four bytes a code point, and each length's first and last one. */
static const char mixed[] = "aé€😀\x01\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"
                            "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf会话z";

static size_t encode(uint32_t point, char out[4])
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    size_t len = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (point & 0x3f));
        point >>= 6;
    }
    out[0] = (char)(leads[len] | point);
    return len;
}

static void decodes_every_code_point(void **state)
{
    (void)state;
    for (uint32_t point = 0; point <= 0x110000; point++) {
        char bytes[4];
        size_t len = encode(point, bytes);
        uint32_t decoded = UINT32_MAX;
        bool is_point = point <= 0x10ffff && !(point >= 0xd800 && point <= 0xdfff);
        assert_int_equal(utf8_next(bytes, len, &decoded), is_point ? len : 0);
        assert_int_equal(decoded, is_point ? point : UINT32_MAX);
        assert_int_equal(utf8_next(bytes, len - 1, &decoded), 0);
    }
}

static void refuses_what_is_not_utf8(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xfe",
        "\xc3",
        "\xc3(",
        "\xe2\x82",
        "\xe2(\xa1",
        "\xf0\x9f\x98",
        "ok\xf0\x9f\x98",
        "\xf0\x9f\x98(",
        "\xf8\x88\x80\x80\x80",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(utf8_valid(bad[i], strlen(bad[i])));
        assert_false(utf8_blank(bad[i], strlen(bad[i])));
    }
    assert_true(utf8_valid("", 0));
    assert_true(utf8_valid("a\0b", 3));
    assert_true(utf8_valid(mixed, sizeof mixed - 1));
}

/* The longest prefix between code points, found the slow way. */
static size_t slow_cut(const char *text, size_t len, size_t max)
{
    size_t end = 0;
    uint32_t point;
    for (size_t step; (step = utf8_next(text + end, len - end, &point)) > 0 && end + step <= max;)
        end += step;
    return end;
}

static void cuts_between_code_points(void **state)
{
    (void)state;
    size_t all = sizeof mixed - 1;
    for (size_t len = 0; len <= all; len++) {
        for (size_t max = 0; max <= all + 2; max++)
            assert_int_equal(utf8_cut(mixed, len, max), slow_cut(mixed, len, max));
    }
}

static void cuts_every_split_of_a_stream(void **state)
{
    (void)state;
    size_t all = sizeof mixed - 1;
    for (size_t split = 0; split <= all; split++) {
        size_t first = utf8_cut(mixed, split, split);
        assert_true(utf8_valid(mixed, first));
        assert_true(split - first < 4);
        assert_true(utf8_valid(mixed + first, all - first));
    }
}

static void knows_white_space(void **state)
{
    (void)state;
    static const char blank[] =
        " \t\n\v\f\r\xc2\x85\xc2\xa0\xe1\x9a\x80\xe2\x80\x80\xe2\x80\x8a\xe2\x80\xa8\xe2\x80\xa9"
        "\xe2\x80\xaf\xe2\x81\x9f\xe3\x80\x80";
    assert_true(utf8_blank(blank, sizeof blank - 1));
    assert_true(utf8_blank("", 0));
    assert_false(utf8_blank("\0", 1));
    assert_false(utf8_blank(" x ", 3));
    assert_false(utf8_blank("\xe2\x80\x8b", 3)); /* ZERO WIDTH SPACE has not that property */
    assert_false(utf8_blank("\xef\xbb\xbf", 3));
}

static void a_name_has_no_control_characters(void **state)
{
    (void)state;
    static const char *const bad[] = {"\x01", "a\nb", "\x1f", "a\x7f", "\xc2\x80", "a\xc2\x9f", "\xff", "a\xc2"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(utf8_is_name(bad[i], strlen(bad[i])));
    assert_false(utf8_is_name("a\0b", 3));
    assert_true(utf8_is_name("", 0));
    assert_true(utf8_is_name("a b ~ \xc2\xa0 会话 😀", strlen("a b ~ \xc2\xa0 会话 😀")));
}

static void repairs_byte_by_byte(void **state)
{
    (void)state;
    struct buf out = {0};
    utf8_append_repaired(&out, "a\xff\xe2\x82z\0é", 8);
    assert_int_equal(out.len, 1 + 3 * 3 + 1 + 1 + 2);
    assert_memory_equal(out.data, "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\0é", out.len);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_every_code_point), cmocka_unit_test(refuses_what_is_not_utf8),
        cmocka_unit_test(cuts_between_code_points), cmocka_unit_test(cuts_every_split_of_a_stream),
        cmocka_unit_test(knows_white_space),        cmocka_unit_test(a_name_has_no_control_characters),
        cmocka_unit_test(repairs_byte_by_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
