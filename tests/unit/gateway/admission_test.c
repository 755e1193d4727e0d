#include "admission.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_origins(void **state)
{
    (void)state;
    static const struct {
        const char *origin, *host, *allowed;
        bool loopback, may;
    } cases[] = {
        {NULL, "chat.example", NULL, false, true},
        {"http://chat.example", "chat.example", NULL, false, true},
        {"https://Chat.Example:8003", "chat.example:8003", NULL, false, true},
        {"http://chat.example:8004", "chat.example:8003", NULL, false, false},
        {"http://chat.example.evil.example", "chat.example", NULL, false, false},
        {"http://evil.example", "chat.example", NULL, true, false},
        {"http://chat.example", NULL, NULL, false, false},
        {"http://", "", NULL, true, false},
        {"", "chat.example", NULL, true, false},
        {"null", "127.0.0.1:8003", NULL, true, true},
        {"null", "127.0.0.1:8003", NULL, false, false},
        {"null", "127.0.0.1:8003", "https://app.example", true, false},
        {"null", "127.0.0.1:8003", "https://app.example, null", false, true},
        {"https://app.example", "chat.example", "https://app.example", false, true},
        {"https://app.example", "chat.example", "https://x.example,https://app.example", false, true},
        {"https://app.example.evil.example", "chat.example", "https://app.example", false, false},
        {"https://app.exampl", "chat.example", "https://app.example", false, false},
        {"http://chat.example", "chat.example", "https://app.example", false, false}, /* not even the same host */
        {"http://evil.example:8003", "evil.example:8003", "127.0.0.1,localhost,null", false, false},
        {"http://localhost:8003", "localhost:8003", "127.0.0.1,localhost,null", false, true},
        {NULL, "evil.example", "127.0.0.1", false, true},
        {"https://any.example", "chat.example", "*", false, true},
        {"http://127.0.0.1:8003", "127.0.0.1:8003", NULL, true, true},
        {"http://localhost:8003", "LocalHost:8003", NULL, true, true},
        {"http://[::1]:8003", "[::1]:8003", NULL, true, true},
        {"http://evil.example:8003", "evil.example:8003", NULL, true, false}, /* rebound to 127.0.0.1 */
        {"null", "evil.example:8003", NULL, true, false},
        {NULL, "evil.example:8003", NULL, true, true},
        {"https://chat.example", "chat.example", "https://chat.example", true, true}, /* behind a proxy */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (admission_origin_allowed(cases[i].origin, cases[i].host, cases[i].allowed, cases[i].loopback) !=
            cases[i].may)
            fail_msg("case %zu: %s at %s", i, cases[i].origin, cases[i].host);
}

static void test_hosts(void **state)
{
    (void)state;
    static const struct {
        const char *host, *allowed;
        bool loopback, authenticated, may;
    } cases[] = {
        {NULL, NULL, true, false, true},
        {"localhost:8003", NULL, true, false, true},
        {"evil.example", NULL, true, false, false},
        {"evil.example", NULL, true, true, false},
        {"chat.example", NULL, false, false, true},
        {"chat.example", "https://chat.example", true, false, true},
        {"chat.example:8003", "https://chat.example", false, false, true},
        {"evil.example", "127.0.0.1,localhost,null", false, false, false},
        {"evil.example", "127.0.0.1,localhost,null", false, true, true}, /* whoever calls has a token */
        {"evil.example", "*", false, false, true},
        {"localhost:8003", "https://chat.example", false, false, true},
        {"192.0.2.7:8003", "https://chat.example", false, false, true}, /* no name leads here */
        {"[2001:db8::7]:8003", "https://chat.example", false, false, true},
        {"[2001:db8::7.evil.example", "https://chat.example", false, false, false},
        {"", "https://chat.example", false, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (admission_host_allowed(cases[i].host, cases[i].allowed, cases[i].loopback, cases[i].authenticated) !=
            cases[i].may)
            fail_msg("case %zu: %s", i, cases[i].host);
}

static void test_loopback(void **state)
{
    (void)state;
    assert_true(gateway_host_is_loopback("127.0.0.1"));
    assert_true(gateway_host_is_loopback("127.8.9.10"));
    assert_true(gateway_host_is_loopback("::1"));
    assert_false(gateway_host_is_loopback("0.0.0.0"));
    assert_false(gateway_host_is_loopback("::"));
    assert_false(gateway_host_is_loopback("128.0.0.1"));
}

static void test_local_hosts(void **state)
{
    (void)state;
    static const char *const local[] = {"localhost", "localhost:1", "127.0.0.1", "127.0.0.1:8003",
                                        "127.1.2.3", "[::1]",       "[::1]:8003"};
    static const char *const foreign[] = {"",
                                          ":8003",
                                          "evil.example",
                                          "localhost.evil.example",
                                          "127.0.0.1.evil.example:8003",
                                          "10.0.0.1",
                                          "[::2]",
                                          "[",
                                          "x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x"};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        assert_true(admission_host_is_local(local[i]));
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        assert_false(admission_host_is_local(foreign[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_local_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
