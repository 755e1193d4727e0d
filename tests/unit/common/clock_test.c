#include "clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void tells_the_same_time_everywhere(void **state)
{
    (void)state;
    int64_t seconds = time(NULL);
    int64_t ms = clock_wall_ms();
    double wall = clock_wall_seconds();
    assert_true(ms >= seconds * 1000 - 1000 && ms < seconds * 1000 + 60000);
    assert_true(wall >= (double)ms / 1000 && wall < (double)ms / 1000 + 60);
}

static void never_goes_back(void **state)
{
    (void)state;
    int64_t last = clock_monotonic_ms();
    for (int i = 0; i < 10000; i++) {
        int64_t now = clock_monotonic_ms();
        assert_true(now >= last);
        last = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_the_same_time_everywhere),
        cmocka_unit_test(never_goes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
