#include "iso_time.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void writes_iso(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000000"},          {1735732800.123456, "2025-01-01T12:00:00.123456"},
        {1709164800, "2024-02-29T00:00:00.000000"}, {1735732799.9999999, "2025-01-01T12:00:00.000000"},
        {-1, "1970-01-01T00:00:00.000000"},         {NAN, "1970-01-01T00:00:00.000000"},
        {1e300, "9999-12-31T23:59:59.000000"},      {INFINITY, "9999-12-31T23:59:59.000000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[ISO_TIME_SIZE];
        iso_time(cases[i].seconds, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_iso),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
