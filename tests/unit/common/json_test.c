#include "json.h"

#include "mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int parse_bytes(const char *text, size_t len, char reason[256], json_t **out)
{
    /* A copy of just that size: the sanitizer sees a read past its end. */
    char *exact = mem_dup(text, len);
    int err = json_parse(exact, len, reason, 256, out);
    free(exact);
    return err;
}

static void accepts(const char *text, size_t len)
{
    char reason[256] = "";
    json_t *value = NULL;
    assert_int_equal(parse_bytes(text, len, reason, &value), ERR_NONE);
    assert_string_equal(reason, "");
    json_decref(value);
}

static void refuses(const char *text, size_t len)
{
    char reason[256] = "";
    json_t *value = NULL;
    assert_int_equal(parse_bytes(text, len, reason, &value), ERR_INVALID);
    assert_null(value);
    assert_string_not_equal(reason, "");
    assert_int_equal(json_parse(text, len, NULL, 0, &value), ERR_INVALID);
}

static char *nested(const char *open, const char *middle, const char *close, size_t depth)
{
    struct buf text = {0};
    for (size_t i = 0; i < depth; i++)
        buf_append_text(&text, open);
    buf_append_text(&text, middle);
    for (size_t i = 0; i < depth; i++)
        buf_append_text(&text, close);
    return text.data;
}

static void bounds_the_depth(void **state)
{
    (void)state;
    static const size_t depths[] = {1, JSON_DEPTH_MAX, JSON_DEPTH_MAX + 1, 2047, 10000};
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        char *texts[] = {nested("[", "", "]", depths[i]), nested("{\"a\":", "1", "}", depths[i]),
                         nested("[", "", "", depths[i])};
        (depths[i] <= JSON_DEPTH_MAX ? accepts : refuses)(texts[0], strlen(texts[0]));
        (depths[i] <= JSON_DEPTH_MAX ? accepts : refuses)(texts[1], strlen(texts[1]));
        refuses(texts[2], strlen(texts[2]));
        for (size_t t = 0; t < 3; t++)
            free(texts[t]);
    }
}

static void counts_no_brackets_in_strings(void **state)
{
    (void)state;
    char *brackets = nested("[", "\\\"\\\\", "{", 200);
    struct buf text = {0};
    buf_printf(&text, "{\"%s\":[\"%s\"]}", brackets, brackets);
    accepts(text.data, text.len);
    free(brackets);
    buf_deinit(&text);
    refuses("\"[[[", 4);
    refuses("\"\\", 2);
    refuses("\"", 1);
}

static void says_what_and_where(void **state)
{
    (void)state;
    char reason[256];
    json_t *value;
    assert_int_equal(json_parse("{\"a\":\n x}", 9, reason, sizeof reason, &value), ERR_INVALID);
    assert_non_null(strstr(reason, "line 2"));
    char *deep = nested("[", "", "]", 100);
    assert_int_equal(json_parse(deep, strlen(deep), reason, sizeof reason, &value), ERR_INVALID);
    assert_string_equal(reason, "deeper than 64 levels at byte 64");
    free(deep);
}

static void cuts_reasons_between_code_points(void **state)
{
    (void)state;
    static const char text[] = "[1, 会话会话会]";
    for (size_t size = 1; size < 120; size++) {
        char reason[120];
        json_t *value;
        assert_int_equal(json_parse(text, sizeof text - 1, reason, size, &value), ERR_INVALID);
        assert_true(strlen(reason) < size);
        json_t *valid = json_string(reason);
        assert_non_null(valid);
        json_decref(valid);
    }
}

static void refuses_duplicate_keys(void **state)
{
    (void)state;
    refuses("{\"a\":1,\"a\":2}", 13);
    refuses("{\"a\":1,\"\\u0061\":2}", 18);
    accepts("[{\"a\":1},{\"a\":2}]", 17);
}

static void passes_zero_characters_on(void **state)
{
    (void)state;
    static const char text[] = "{\"q\":\"a\\u0000b\"}";
    json_t *value = NULL;
    size_t len = 0;
    assert_int_equal(json_parse(text, sizeof text - 1, NULL, 0, &value), ERR_NONE);
    assert_memory_equal(json_get_text(value, "q", &len), "a\0b", 4);
    assert_int_equal(len, 3);
    struct buf out = {0};
    json_append_take(&out, value);
    assert_string_equal(out.data, text);
    buf_deinit(&out);
    refuses("\"a\0b\"", 5);
}

static void refuses_what_is_no_text(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      " ",
                                      "\"\\ud800\"",
                                      "\"\\udc00\"",
                                      "\"\\ud800x\"",
                                      "\"\\ud800\\u0041\"",
                                      "\"\xff\"",
                                      "\"\xed\xa0\x80\"",
                                      "\"\xc3\"",
                                      "NaN",
                                      "Infinity",
                                      "-",
                                      "01",
                                      "1.",
                                      "[1,]",
                                      "{}x",
                                      "{\"a\"}",
                                      "nul",
                                      "'a'",
                                      "\"\t\"",
                                      "[1] [2]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuses(bad[i], strlen(bad[i]));
    accepts("\"\\ud83d\\ude00\"", 14);
    accepts(" null ", 6);
}

static void bounds_numbers(void **state)
{
    (void)state;
    accepts("9223372036854775807", 19);
    accepts("-9223372036854775808", 20);
    accepts("1e308", 5);
    refuses("9223372036854775808", 19);
    refuses("1e309", 5);
    char *digits = nested("9", ".", "1", 100000);
    refuses(digits, strlen(digits));
    free(digits);
}

static void writes_compact_utf8(void **state)
{
    (void)state;
    struct buf out = {0};
    json_append_take(&out, json_pack("{s:o, s:[i,b,n,f]}", "t", json_text("é\"\n\0/", 6), "l", 1, 1, 0.5));
    assert_string_equal(out.data, "{\"t\":\"é\\\"\\n\\u0000/\",\"l\":[1,true,null,0.5]}");
    buf_reset(&out);
    json_append_take(&out, json_text(NULL, 0));
    json_append_take(&out, json_text("a\xff", 2));
    assert_string_equal(out.data, "\"\"\"a\xef\xbf\xbd\"");
    buf_deinit(&out);
}

static void mends_lone_surrogates(void **state)
{
    (void)state;
    char text[] = "\"\\ud83d \\ud83d\\ude00 \\ude00\\ud83d\" \\\\ud83d \\u00e9 \\uD83";
    json_mend_surrogates(text, strlen(text));
    assert_string_equal(text, "\"\\ufffd \\ud83d\\ude00 \\ufffd\\ufffd\" \\\\ud83d \\u00e9 \\uD83");
}

static void writes_numbers_as_short_as_they_are(void **state)
{
    (void)state;
    struct buf out = {0};
    json_append_take(&out, json_pack("{s:[f,f], s:f}", "a", 0.3, 9.95, "b", 1763712345.12345));
    assert_string_equal(out.data, "{\"a\":[0.3,9.95],\"b\":1763712345.12345}");
    buf_reset(&out);
    json_append_take(&out, json_pack("[f]", 0.1 + 0.2)); /* it needs them all */
    assert_string_equal(out.data, "[0.30000000000000004]");
    buf_reset(&out);
    json_append_take(&out, json_pack("[f,f]", 1763712345.1234567, 1e22)); /* not a time of ours, and beyond any */
    assert_string_equal(out.data, "[1763712345.1234567,1e22]");
    buf_deinit(&out);
}

static void gets_members_of_their_type(void **state)
{
    (void)state;
    json_t *object = json_pack("{s:s, s:I, s:b, s:f}", "s", "x", "i", (json_int_t)INT64_MIN, "b", 1, "f", 1.5);
    assert_string_equal(json_get_text(object, "s", NULL), "x");
    assert_null(json_get_text(object, "i", NULL));
    assert_null(json_get_text(NULL, "i", NULL));
    assert_true(json_get_int(object, "i", 5) == INT64_MIN);
    assert_int_equal(json_get_int(object, "f", 5), 5);
    assert_int_equal(json_get_int(object, "none", 5), 5);
    assert_true(json_get_bool(object, "b", false));
    assert_true(json_get_bool(object, "i", true));
    assert_false(json_get_bool(object, "none", false));
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_the_depth),
        cmocka_unit_test(counts_no_brackets_in_strings),
        cmocka_unit_test(says_what_and_where),
        cmocka_unit_test(cuts_reasons_between_code_points),
        cmocka_unit_test(refuses_duplicate_keys),
        cmocka_unit_test(passes_zero_characters_on),
        cmocka_unit_test(refuses_what_is_no_text),
        cmocka_unit_test(bounds_numbers),
        cmocka_unit_test(writes_compact_utf8),
        cmocka_unit_test(mends_lone_surrogates),
        cmocka_unit_test(writes_numbers_as_short_as_they_are),
        cmocka_unit_test(gets_members_of_their_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
