#include "dialect_fixture.h"
#include "dialect_rest.h"

static void test_each_path_has_one_dialect(void **state)
{
    (void)state;
    static const char *const paths[] = {"/ws/agent",
                                        "/ws/chat",
                                        "/ws/chat/ann",
                                        "/ws/chat/contact",
                                        "/blog/contact",
                                        "/contact",
                                        "/",
                                        "/api/v1/pipelines/a/ws/connect"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        size_t count = 0;
        for (size_t d = 0; d < dialect_count; d++)
            count += dialects[d]->serves(paths[i]);
        assert_int_equal(count, strcmp(paths[i], "/") == 0 ? 0 : 1);
    }
}

static void test_text_is_due(void **state)
{
    (void)state;
    assert_false(dialect_text_due(DIALECT_WHOLE, 0, 100));
    assert_false(dialect_text_due(DIALECT_DELTAS, 7, 7));
    assert_true(dialect_text_due(DIALECT_DELTAS, 7, 8));
    assert_false(dialect_text_due(DIALECT_CUMULATIVE, 0, 0));
    assert_true(dialect_text_due(DIALECT_CUMULATIVE, 0, 1));
    assert_false(dialect_text_due(DIALECT_CUMULATIVE, 1, 32));
    assert_true(dialect_text_due(DIALECT_CUMULATIVE, 1, 33));
    assert_false(dialect_text_due(DIALECT_CUMULATIVE, 16000, 16999));
    assert_true(dialect_text_due(DIALECT_CUMULATIVE, 16000, 17000));
}

/* However small the pieces are. */
static void test_cumulative_text_is_not_quadratic(void **state)
{
    (void)state;
    size_t sent = 0, total = 0, end = 4 << 20;
    for (size_t there = 1; there <= end; there++) {
        if (dialect_text_due(DIALECT_CUMULATIVE, sent, there)) {
            sent = there;
            total += sent;
        }
    }
    assert_true(total + end < 18 * end);
}

static void test_statistics(void **state)
{
    (void)state;
    const struct dialect_counts counts = {.active = 1, .total = 8, .frames_sent = 99};
    const struct dialect_connection list[] = {{.id = "a", .name = "", .connected_at = NOW, .frames_sent = 7}};
    assert_json(
        agent_engine_statistics(&counts, list, 1, NOW + 2.5),
        "{\"active_connections\":1,\"total_connections\":8,\"total_messages\":99,\"connections\":[{\"id\":\"a\","
        "\"connected_at\":1763699036.25,\"message_count\":7,\"uptime\":2.5}]}");
}

/* Where nothing was read there is nothing asked: each has an error for that. */
static void test_each_can_refuse(void **state)
{
    (void)state;
    const struct dialect_occasion occasion = {.kind = DIALECT_REFUSED, .now = NOW, .reason = SPAN("slower")};
    for (size_t i = 0; i < dialect_count; i++) {
        dialects[i]->encode(&client, &occasion, &out);
        assert_int_equal(out.count, 1);
        json_t *frame = frame_at(0);
        assert_string_equal(json_get_text(frame, "type", NULL), "error");
        json_decref(frame);
        frames_reset(&out);
    }
    frames_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_path_has_one_dialect),
        cmocka_unit_test(test_text_is_due),
        cmocka_unit_test(test_cumulative_text_is_not_quadratic),
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_each_can_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
