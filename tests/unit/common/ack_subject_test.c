#include "ack_subject.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_parsed(const char *text, int64_t delivered, uint64_t sequence)
{
    struct ack_subject ack;
    assert_int_equal(ack_subject_parse(text, &ack), ERR_NONE);
    assert_true(ack.delivered == delivered && ack.stream_sequence == sequence);
}

static void assert_refused(const char *text)
{
    struct ack_subject ack = {.delivered = 42};
    assert_int_equal(ack_subject_parse(text, &ack), ERR_INVALID);
    assert_int_equal(ack.delivered, 42);
}

static void test_both_forms(void **state)
{
    (void)state;
    assert_parsed("$JS.ACK.JOBS.agents.1.17.3.1700000000000000000.5", 1, 17);
    assert_parsed("$JS.ACK.JOBS.agents.12.18446744073709551615.3.1.0", 12, UINT64_MAX);
    assert_parsed("$JS.ACK._.hash.JOBS.agents.2.18.3.1700000000000000000.5", 2, 18);
    assert_parsed("$JS.ACK.hub.hash.JOBS.agents.3.19.3.1700000000000000000.5.random", 3, 19);
}

static void test_others_are_refused(void **state)
{
    (void)state;
    assert_refused(NULL);
    assert_refused("");
    assert_refused("_INBOX.abc.1");
    assert_refused("$JS.ACK.JOBS.agents.1.17.3.1700");
    assert_refused("$JS.ACK.x.JOBS.agents.1.17.3.1700000000000000000.5");
    assert_refused("$JS.ACK.JOBS.agents.0.17.3.1700000000000000000.5");
    assert_refused("$JS.ACK.JOBS.agents.-1.17.3.1700000000000000000.5");
    assert_refused("$JS.ACK.JOBS.agents.1x.17.3.1700000000000000000.5");
    assert_refused("$JS.ACK.JOBS.agents..17.3.1700000000000000000.5");
    assert_refused("$JS.ACK.JOBS.agents.1.18446744073709551616.3.1.0");
    assert_refused("$JS.ACK.JOBS.agents.9223372036854775808.17.3.1.0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_forms),
        cmocka_unit_test(test_others_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
