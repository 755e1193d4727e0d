#include "json.h"
#include "tool.h"
#include "zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const int64_t winter = 1736942400, summer = 1752580800; /* noon UTC, 15 January and 15 July 2025 */

static int ask(const char *zone, int64_t now_ms, struct buf *result)
{
    json_t *arguments = zone ? json_pack("{s:s}", "timezone", zone) : json_object();
    const struct tool_input input = {.arguments = arguments, .now_ms = now_ms};
    int err = tool_current_time.run(&input, result);
    json_decref(arguments);
    return err;
}

static void tells_the_time_in_utc_by_default(void **state)
{
    (void)state;
    struct buf result = {0};
    assert_int_equal(ask(NULL, winter * 1000 + 999, &result), ERR_NONE);
    assert_string_equal(result.data,
                        "{\"time\":\"2025-01-15T12:00:00+00:00\",\"timezone\":\"UTC\",\"unix\":1736942400}");
    buf_deinit(&result);
}

static void tells_the_time_in_a_zone(void **state)
{
    (void)state;
    if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) != 0)
        skip();
    static const struct {
        const char *zone, *winter, *summer;
    } cases[] = {
        {"Europe/Berlin", "2025-01-15T13:00:00+01:00", "2025-07-15T14:00:00+02:00"},
        {"America/New_York", "2025-01-15T07:00:00-05:00", "2025-07-15T08:00:00-04:00"},
        {"Asia/Kolkata", "2025-01-15T17:30:00+05:30", "2025-07-15T17:30:00+05:30"},
        {"Asia/Shanghai", "2025-01-15T20:00:00+08:00", "2025-07-15T20:00:00+08:00"},
        {"Australia/Sydney", "2025-01-15T23:00:00+11:00", "2025-07-15T22:00:00+10:00"},
        {"Etc/GMT+5", "2025-01-15T07:00:00-05:00", "2025-07-15T07:00:00-05:00"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf result = {0};
        assert_int_equal(ask(cases[i].zone, winter * 1000, &result), ERR_NONE);
        assert_non_null(strstr(result.data, cases[i].winter));
        buf_reset(&result);
        assert_int_equal(ask(cases[i].zone, summer * 1000, &result), ERR_NONE);
        assert_non_null(strstr(result.data, cases[i].summer));
        buf_deinit(&result);
    }
}

static void refuses_what_is_no_zone(void **state)
{
    (void)state;
    static const char *const zones[] = {"Nowhere",
                                        "../zoneinfo/UTC",
                                        "/etc/localtime",
                                        "Europe/../UTC",
                                        "Europe",
                                        "zone.tab",
                                        "right/UTC",
                                        "a b",
                                        "Europe//x/",
                                        "-",
                                        "柏林"};
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        struct buf result = {0};
        if (ask(zones[i], 0, &result) != ERR_INVALID)
            fail_msg("%s: %s", zones[i], result.data);
        buf_deinit(&result);
    }
}

/* The offset of the second before a change, and of the change itself. */
static void assert_change(const char *rule, int64_t when, int32_t before, int32_t after)
{
    int32_t offset;
    assert_int_equal(zone_offset_by_rule(rule, when - 1, &offset), ERR_NONE);
    assert_int_equal(offset, before);
    assert_int_equal(zone_offset_by_rule(rule, when, &offset), ERR_NONE);
    assert_int_equal(offset, after);
}

static void follows_rules_to_the_second(void **state)
{
    (void)state;
    assert_change("CET-1CEST,M3.5.0,M10.5.0/3", 1743296400, 3600, 7200);     /* 30 March 2025, 01:00 UTC */
    assert_change("CET-1CEST,M3.5.0,M10.5.0/3", 1761440400, 7200, 3600);     /* 26 October 2025 */
    assert_change("EST5EDT,M3.2.0,M11.1.0", 1741503600, -18000, -14400);     /* 9 March 2025, 07:00 UTC */
    assert_change("AEST-10AEDT,M10.1.0,M4.1.0/3", 1743868800, 39600, 36000); /* 5 April 2025, 16:00 UTC */
    assert_change("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 1743296400, -7200, -3600);
    int32_t offset;
    assert_int_equal(zone_offset_by_rule("<+0530>-5:30", 0, &offset), ERR_NONE);
    assert_int_equal(offset, 19800);
}

static void refuses_broken_rules(void **state)
{
    (void)state;
    static const char *const rules[] = {"",
                                        "CET",
                                        "C-1",
                                        "<CET-1",
                                        "CET-1CEST",
                                        "CET-1CEST,M3.5.0",
                                        "CET-1CEST,M13.5.0,M10.5.0",
                                        "CET-1CEST,M3.5.0,M10.5.0/3x",
                                        "CET-9999999",
                                        "CET-1CEST,J366,J1"};
    int32_t offset = 7;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (zone_offset_by_rule(rules[i], 0, &offset) != ERR_INVALID)
            fail_msg("%s was taken", rules[i]);
    assert_int_equal(offset, 7);
}

/* Every beginning of a file, and a file with each of its first bytes changed, is refused or read, never overrun. */
static void survives_broken_files(void **state)
{
    (void)state;
    FILE *file = fopen("/usr/share/zoneinfo/Europe/Berlin", "re");
    if (!file)
        skip();
    uint8_t bytes[8192];
    size_t len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    int32_t offset;
    assert_int_equal(zone_offset_in(bytes, len, summer, &offset), ERR_NONE);
    assert_int_equal(offset, 7200);
    for (size_t i = 0; i < len; i++) {
        uint8_t *exact = malloc(i + 1);
        memcpy(exact, bytes, i);
        (void)!zone_offset_in(exact, i, summer, &offset);
        free(exact);
    }
    for (size_t i = 0; i < 1200 && i < len; i++) {
        uint8_t *exact = malloc(len);
        memcpy(exact, bytes, len);
        exact[i] = 0xFF;
        (void)!zone_offset_in(exact, len, summer, &offset);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_the_time_in_utc_by_default),
        cmocka_unit_test(tells_the_time_in_a_zone),
        cmocka_unit_test(refuses_what_is_no_zone),
        cmocka_unit_test(follows_rules_to_the_second),
        cmocka_unit_test(refuses_broken_rules),
        cmocka_unit_test(survives_broken_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
