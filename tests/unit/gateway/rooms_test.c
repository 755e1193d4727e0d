/* What rooms and statistics remember: turns that have ended, and other gateways. */
#include "peers.h"
#include "recent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_recent_turns(void **state)
{
    (void)state;
    static struct recent recent;
    char ids[RECENT_COUNT + 1][ID_SIZE];
    for (size_t i = 0; i <= RECENT_COUNT; i++)
        id_uuid(ids[i]);
    assert_false(recent_has(&recent, ids[0]));
    assert_false(recent_has(&recent, ""));
    for (size_t i = 0; i < RECENT_COUNT; i++)
        recent_add(&recent, ids[i]);
    for (size_t i = 0; i < RECENT_COUNT; i++)
        assert_true(recent_has(&recent, ids[i]));
    assert_false(recent_has(&recent, ids[RECENT_COUNT]));
    recent_add(&recent, ids[RECENT_COUNT]);
    assert_false(recent_has(&recent, ids[0]));
    assert_true(recent_has(&recent, ids[1]));
    assert_true(recent_has(&recent, ids[RECENT_COUNT]));
}

static void test_peers_answer(void **state)
{
    (void)state;
    struct peers peers = {0};
    assert_true(peers_answered(&peers, 1));
    peers_heard(&peers, "0123456789ab", 1);
    peers_heard(&peers, "0123456789ac", 0);
    assert_false(peers_answered(&peers, 1));
    peers_heard(&peers, "0123456789ac", 2);
    assert_true(peers_answered(&peers, 1));
    assert_false(peers_answered(&peers, 2));
    peers_heard(&peers, "0123456789ac", 1); /* late: changes nothing */
    peers_drop_silent(&peers, 2);
    assert_int_equal(peers.count, 1);
    assert_string_equal(peers.list[0].id, "0123456789ac");
    assert_true(peers_answered(&peers, 2));
    peers_deinit(&peers);
}

static void test_strange_peers_are_ignored(void **state)
{
    (void)state;
    struct peers peers = {0};
    static const char *const strange[] = {"", "0123456789a", "0123456789abc", "0123456789.*", "0123456789 a"};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        peers_heard(&peers, strange[i], 1);
    assert_int_equal(peers.count, 0);
    for (size_t i = 0; i < PEERS_MAX + 10; i++) {
        char id[ID_SHORT_SIZE];
        snprintf(id, sizeof id, "%012zx", i);
        peers_heard(&peers, id, 1);
    }
    assert_int_equal(peers.count, PEERS_MAX);
    peers_deinit(&peers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recent_turns),
        cmocka_unit_test(test_peers_answer),
        cmocka_unit_test(test_strange_peers_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
