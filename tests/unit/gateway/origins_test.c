#include "origins.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_what_is_listed(void **state)
{
    (void)state;
    static const struct {
        const char *list, *origin;
        bool is;
    } cases[] = {
        {"*", "https://any.example", true},
        {"*", "null", true},
        {"null", "null", true},
        {"null", "https://null", false},
        {"https://a.example", "null", false},
        {"https://a.example", "https://a.example", true},
        {"HTTPS://A.example", "https://a.Example", true},
        {"https://a.example", "http://a.example", false},
        {"https://a.example", "https://a.example:8443", false},
        {"https://a.example:8443", "https://a.example:8443", true},
        {"https://a.example:8443", "https://a.example", false},
        {"https://a.example:443", "https://a.example", true},
        {"http://a.example:80", "http://a.example", true},
        {"https://a.example:80", "https://a.example", false},
        {"https://a.example", "https://b.a.example", false},
        {"https://a.example", "https://a.example.evil.example", false},
        {"https://a.example", "https://a.exampl", false},
        {"a.example", "https://a.example", true},
        {"a.example", "http://a.example:8003", true},
        {"a.example", "app://a.example", true},
        {"a.example", "https://a.example@evil.example", false},
        {"a.example", "https://evil.example/a.example", false},
        {"a.example", "https://b.a.example", false},
        {"a.example", "a.example", false},
        {"a.example", "", false},
        {"127.0.0.1", "http://127.0.0.1:8003", true},
        {"127.0.0.1", "http://127.0.0.1.evil.example", false},
        {"[::1]", "http://[::1]:8003", true},
        {"[::1]", "http://[::1]evil.example", false},
        {"[::1]", "http://[::1", false},
        {"app://local", "app://local", true},
        {"x.example, https://a.example ,null", "https://a.example", true},
        {"x.example,,null,", "null", true},
        {"x.example", "https://x.example:port", false},
        {"x.example", "https://x.example:", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (origins_list(cases[i].list, cases[i].origin) != cases[i].is)
            fail_msg("case %zu: %s in %s", i, cases[i].origin, cases[i].list);
}

static void test_hosts_of_what_is_listed(void **state)
{
    (void)state;
    static const char list[] = "null,https://a.example:8443,b.example,[::1]";
    static const char *const listed[] = {"a.example", "A.example:1", "b.example", "[::1]:8003"};
    static const char *const others[] = {"", "null", "c.example", "a.example.c.example", "a.example/", "::1", "*"};
    for (size_t i = 0; i < sizeof listed / sizeof *listed; i++)
        assert_true(origins_list_host(list, listed[i]));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(origins_list_host(list, others[i]));
    assert_true(origins_list_host("*", "c.example"));
}

static void test_what_is_no_list(void **state)
{
    (void)state;
    static const char *const good[] = {
        "*", "null", "localhost", "[::1]", "http://[::1]:8003, 127.0.0.1,null,", "https://a.example:8443"};
    static const struct {
        const char *list, *entry;
    } bad[] = {
        {"https://a.example/", "https://a.example/"},
        {"localhost,a.example:8003", "a.example:8003"},
        {"::1", "::1"},
        {"*.example", "*.example"},
        {"https://*.example", "https://*.example"},
        {"https://", "https://"},
        {"http://a.example:x,b", "http://a.example:x"},
        {"[::1", "[::1"},
        {" , ", ""},
    };
    const char *entry;
    size_t len;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!origins_valid(good[i], &entry, &len))
            fail_msg("%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(origins_valid(bad[i].list, &entry, &len));
        assert_int_equal(len, strlen(bad[i].entry));
        assert_memory_equal(entry, bad[i].entry, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_listed),
        cmocka_unit_test(test_hosts_of_what_is_listed),
        cmocka_unit_test(test_what_is_no_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
