#include "trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID     "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"

static void reads_what_is_valid(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool sampled;
    } rows[] = {
        {"00-" ID "-" PARENT "-01", true},  {"00-" ID "-" PARENT "-00", false},
        {"00-" ID "-" PARENT "-ff", true},  {"00-" ID "-" PARENT "-0a", false},
        {"01-" ID "-" PARENT "-01", true},  {"cc-" ID "-" PARENT "-01-what the future brings", true},
        {"fe-" ID "-" PARENT "-01-", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct trace trace = {0};
        assert_true(trace_parse(&trace, rows[i].text));
        assert_string_equal(trace.id, ID);
        assert_int_equal(trace.sampled, rows[i].sampled);
    }
}

static void refuses_what_is_not(void **state)
{
    (void)state;
    static const char *const texts[] = {
        NULL,
        "",
        "00",
        "00-" ID "-" PARENT,
        "00-" ID "-" PARENT "-",
        "00-" ID "-" PARENT "-0",
        "00-" ID "-" PARENT "-01-",
        "00-" ID "-" PARENT "-01-more",
        "00-" ID "-" PARENT "-011",
        "cc-" ID "-" PARENT "-01.more",
        "ff-" ID "-" PARENT "-01",
        "0-" ID "-" PARENT "-001",
        "0x-" ID "-" PARENT "-01",
        "00-" ID "-" PARENT "-0x",
        "00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01",
        "00-" ID "-B7AD6B7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319-" PARENT "f-01",
        "00-00000000000000000000000000000000-" PARENT "-01",
        "00-" ID "-0000000000000000-01",
        "00_" ID "-" PARENT "-01",
        "00-" ID "_" PARENT "-01",
        "00-" ID "-" PARENT "_01",
        " 00-" ID "-" PARENT "-01",
        "00-" ID "-" PARENT "-01 ",
        "00-0af7651916cd43dd8448eb211c80319\xc3-" PARENT "-01",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct trace trace = {.id = "as it was", .sampled = true};
        assert_false(trace_parse(&trace, texts[i]));
        assert_string_equal(trace.id, "as it was");
        assert_true(trace.sampled);
    }
}

static void makes_one_where_none_came(void **state)
{
    (void)state;
    struct trace given, one, other;
    trace_take(&given, "00-" ID "-" PARENT "-01");
    assert_string_equal(given.id, ID);
    trace_take(&one, NULL);
    trace_take(&other, "nonsense");
    assert_int_equal(strlen(one.id), 32);
    assert_int_equal(strspn(one.id, "0123456789abcdef"), 32);
    assert_int_equal(strlen(other.id), 32);
    assert_string_not_equal(one.id, other.id);
    assert_false(one.sampled);
}

static void goes_on_with_another_parent(void **state)
{
    (void)state;
    struct trace trace, received;
    char first[TRACE_TEXT_SIZE], second[TRACE_TEXT_SIZE];
    assert_true(trace_parse(&trace, "cc-" ID "-" PARENT "-ff-more"));
    trace_next(&trace, first);
    trace_next(&trace, second);
    assert_int_equal(strlen(first), TRACE_TEXT_SIZE - 1);
    assert_memory_equal(first, "00-" ID "-", 36);
    assert_string_equal(first + 52, "-01");
    assert_string_not_equal(first, second);
    assert_null(strstr(first, PARENT));
    assert_true(trace_parse(&received, first));
    assert_string_equal(received.id, ID);
    assert_true(received.sampled);
}

static void is_a_header(void **state)
{
    (void)state;
    struct trace none = {0}, trace;
    struct trace_headers memory;
    assert_false(trace_is_set(&none));
    assert_null(trace_headers(NULL, &memory));
    assert_null(trace_headers(&none, &memory));
    trace_take(&trace, NULL);
    assert_true(trace_is_set(&trace));
    const char *const *headers = trace_headers(&trace, &memory);
    assert_string_equal(headers[0], "traceparent");
    assert_memory_equal(headers[1] + 3, trace.id, 32);
    assert_null(headers[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_is_valid),
        cmocka_unit_test(refuses_what_is_not),
        cmocka_unit_test(makes_one_where_none_came),
        cmocka_unit_test(goes_on_with_another_parent),
        cmocka_unit_test(is_a_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
