#include "json.h"
#include "tool.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int calculate(const char *expression, struct buf *result)
{
    json_t *arguments = json_pack("{s:s}", "expression", expression);
    const struct tool_input input = {.arguments = arguments};
    int err = tool_calculator.run(&input, result);
    json_decref(arguments);
    return err;
}

static void gives_json_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *expression, *result;
    } cases[] = {
        {"123 + 456", "579"},
        {"12*7", "84"},
        {"(2 + 3) * 4", "20"},
        {"7 / 2", "3.5"},
        {"1/3", "0.333333333333333"},
        {"0.1 + 0.2", "0.3"},
        {"2^10", "1024"},
        {"2 ** 10", "1024"},
        {"-2^2", "-4"},
        {"10 % 3", "1"},
        {"-5 + 5", "0"},
        {"-0", "0"},
        {"3 × 4 ÷ 2", "6"},
        {"5 − 3", "2"},
        {"sqrt(16)", "4"},
        {"cbrt(27)", "3"},
        {"max(1, 2, 3) + min(4, 5)", "7"},
        {"round(2.5)", "3"},
        {"floor(-1.5)", "-2"},
        {"sin(0)", "0"},
        {"pi", "3.14159265358979"},
        {"ln(e)", "1"},
        {"1e3", "1000"},
        {"2^53", "9007199254740992"},
        {"2^64", "1.84467440737096e+19"},
        {"1 < 2 ? 10 : 20", "10"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf result = {0};
        int err = calculate(cases[i].expression, &result);
        if (err || strcmp(result.data, cases[i].result) != 0)
            fail_msg("%s: %s", cases[i].expression, result.data);
        json_t *value;
        assert_int_equal(json_parse(result.data, result.len, NULL, 0, &value), ERR_NONE);
        assert_true(json_is_number(value));
        json_decref(value);
        buf_deinit(&result);
    }
}

static void says_what_is_wrong_and_where(void **state)
{
    (void)state;
    static const struct {
        const char *expression, *reason;
    } cases[] = {
        {"", "empty"},
        {"   ", "empty"},
        {"1/0", "division by zero"},
        {"1/(1/0)", "division by zero"},
        {"10 % 0", "division by zero"},
        {"log10(0)", "logarithm of zero"},
        {"sqrt(-1)", "not a real number"},
        {"1e308 * 10", "too large"},
        {"2 +", "unexpected end"},
        {"(1 + 2", "parenthesis is missing"},
        {"foo(3)", "unknown name or character at character 1, near 'foo(3)'"},
        {"1 + x", "unknown name or character at character 5, near 'x'"},
        {"x = 3", "unknown name"},
        {"2 3", "unexpected number at character 3"},
        {"1,000 * 3", "separators for thousands"},
        {"\"text\"", "unreadable"},
        {"sin(1, 2)", "too many arguments"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf result = {0};
        int err = calculate(cases[i].expression, &result);
        if (err != ERR_INVALID || !strstr(result.data, cases[i].reason))
            fail_msg("%s: %s", cases[i].expression, result.data);
        buf_deinit(&result);
    }
}

static void bounds_the_expression(void **state)
{
    (void)state;
    char expression[1002];
    struct buf result = {0};
    memset(expression, '1', sizeof expression);
    expression[1001] = '\0';
    assert_int_equal(calculate(expression, &result), ERR_INVALID);
    assert_non_null(strstr(result.data, "longer than 1000 bytes"));
    buf_reset(&result);
    memset(expression, '(', 1000); /* as deep as it may be */
    expression[1000] = '\0';
    assert_int_equal(calculate(expression, &result), ERR_INVALID);
    buf_deinit(&result);
}

/* Returns NULL if all went well. */
static void *calculate_often(void *arg)
{
    for (int i = 0; i < 200; i++) {
        struct buf result = {0};
        bool right = calculate(i % 2 ? "3 * (4 + 5)" : "1 + nothing", &result) == (i % 2 ? ERR_NONE : ERR_INVALID);
        buf_deinit(&result);
        if (!right)
            return arg;
    }
    return NULL;
}

static void works_on_many_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    char wrong_mark;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, calculate_often, &wrong_mark), 0);
    for (size_t i = 0; i < 4; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_json_numbers),
        cmocka_unit_test(says_what_is_wrong_and_where),
        cmocka_unit_test(bounds_the_expression),
        cmocka_unit_test(works_on_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
