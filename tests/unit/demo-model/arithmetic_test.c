#include "arithmetic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void finds_expressions(void **state)
{
    (void)state;
    static const struct {
        const char *question, *expression; /* NULL: none */
    } cases[] = {
        {"12*7", "12*7"},
        {"What is 12 times 7?", "12 * 7"},
        {"what is 3 plus 4 minus 5", "3 + 4 - 5"},
        {"Calculate (2 + 3) * 4.5, please", "(2 + 3) * 4.5"},
        {"what's -5 + 3?", "-5 + 3"},
        {"what is .5 + 1", ".5 + 1"},
        {"what is 10 divided by 4", "10 / 4"},
        {"what is the square root of 16?", "sqrt(16)"},
        {"what is sqrt(2) * 3", "sqrt(2) * 3"},
        {"2 to the power of 10 = ?", "2 ^ 10"},
        {"what is 5 squared plus 1", "5^2 + 1"},
        {"计算 3加4乘以2", "3+4*2"},
        {"123 ÷ 3 等于多少？", "123 / 3"},
        {"call 555-1234", NULL},
        {"what is on 2024-01-01?", NULL},
        {"what is the capital of France?", NULL},
        {"I have 3 cats and 2 dogs", NULL},
        {"what is 42", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct question question;
        struct buf expression = {0};
        question_init(&question, cases[i].question, strlen(cases[i].question));
        bool found = arithmetic_find(&question, &expression);
        if (found != (cases[i].expression != NULL))
            fail_msg("'%s': %s", cases[i].question, found ? expression.data : "nothing found");
        if (found)
            assert_string_equal(expression.data, cases[i].expression);
        buf_deinit(&expression);
        question_deinit(&question);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_expressions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
