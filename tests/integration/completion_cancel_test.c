/* completion over http_client and sse, against a scripted server on the same loop: answers cut short by who asked. */
#include "completion_fixture.h"

#include "mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define MORE TEXT("more ") TEXT("more ") TEXT("more ")

static void ask_until_cancelled(struct world *world, struct asked *asked)
{
    ask(world, asked);
    while (asked->completion)
        uv_run(&world->loop, UV_RUN_ONCE);
}

static void cancels_at_any_time(void **state)
{
    struct world *world = *state;
    reply_without_end(world, MORE, 2);
    for (int turns = 0; turns < 25; turns++) {
        struct asked asked = {0};
        ask(world, &asked);
        for (int i = 0; i < turns; i++)
            uv_run(&world->loop, UV_RUN_ONCE);
        completion_cancel(&asked.completion);
        assert_null(asked.completion);
        size_t heard = asked.text.len;
        expect_hang_up(world);
        assert_int_equal(asked.text.len, heard);
        assert_false(asked.done);
        buf_deinit(&asked.text);
    }
}

static void cancels_from_within_the_text_handler(void **state)
{
    struct world *world = *state;
    reply_without_end(world, MORE, 2);
    for (size_t at = 1; at < 30; at += 5) {
        struct asked asked = {.cancel_at = at};
        ask_until_cancelled(world, &asked);
        expect_hang_up(world);
        assert_int_equal(asked.text.len, (at + 4) / 5 * 5); /* not a word more, though a read brings three */
        assert_false(asked.done);
        buf_deinit(&asked.text);
    }
}

static void cancels_others_from_within_the_text_handler(void **state)
{
    struct world *world = *state;
    reply_without_end(world, MORE, 2);
    struct asked unborn = {0};
    struct asked victim = {0};
    struct asked killer = {.cancel_at = 1, .victim = &victim};
    ask(world, &victim);
    while (victim.text.len == 0)
        uv_run(&world->loop, UV_RUN_ONCE);
    ask_until_cancelled(world, &killer);
    assert_null(victim.completion);
    expect_hang_up(world);
    /* One that was only just started, from within the same handler. */
    struct asked parent = {.cancel_at = 1, .victim = &unborn, .next = &unborn};
    int requests = world->server.requests;
    ask_until_cancelled(world, &parent);
    expect_hang_up(world);
    assert_int_equal(world->server.requests, requests + 1);
    assert_false(victim.done || killer.done || parent.done || unborn.done);
    buf_deinit(&victim.text);
    buf_deinit(&killer.text);
    buf_deinit(&parent.text);
}

static void cancels_while_waiting_to_ask_again(void **state)
{
    struct world *world = *state;
    reply_with(world, ERROR("429 No"));
    struct asked asked = {0};
    ask(world, &asked);
    while (world->server.requests == 0)
        uv_run(&world->loop, UV_RUN_ONCE);
    for (int i = 0; i < 3; i++)
        uv_run(&world->loop, UV_RUN_NOWAIT);
    completion_cancel(&asked.completion);
    assert_false(asked.done);
    assert_int_equal(world->server.requests, 1);
}

static void cancels_many_at_once(void **state)
{
    struct world *world = *state;
    reply_without_end(world, MORE, 2);
    struct asked *asked = mem_alloc(PARALLEL * sizeof *asked);
    for (int i = 0; i < PARALLEL; i++)
        ask(world, &asked[i]);
    for (int i = 0; i < PARALLEL; i++)
        while (asked[i].text.len == 0)
            uv_run(&world->loop, UV_RUN_ONCE);
    for (int i = 0; i < PARALLEL; i++)
        completion_cancel(&asked[i].completion);
    while (world->server.open > 0)
        uv_run(&world->loop, UV_RUN_ONCE);
    for (int i = 0; i < PARALLEL; i++)
        buf_deinit(&asked[i].text);
    free(asked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(cancels_at_any_time),
        WORLD_TEST(cancels_from_within_the_text_handler),
        WORLD_TEST(cancels_others_from_within_the_text_handler),
        WORLD_TEST(cancels_while_waiting_to_ask_again),
        WORLD_TEST(cancels_many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
