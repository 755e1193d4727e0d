/* completion over http_client and sse, against a scripted server on the same loop: answers that come. */
#include "completion_fixture.h"

#include "mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void streams_an_answer_cut_at_every_byte(void **state)
{
    struct world *world = *state;
    struct reply *reply = reply_with(world, SSE_HEAD CHUNKED);
    add_chunk(reply, ": hello\r\n\r");
    add_chunk(reply, "\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\r\n\r\n");
    add_text(reply, "Emoji 😀 and 会话");
    add_text(reply, "; \\ud83d\\ude00\\n");
    add_end(reply);
    reply->step = 1;
    expect_answer(world, "Emoji 😀 and 会话; 😀\n");
    assert_int_equal(world->usage.prompt_tokens, 5);
    assert_int_equal(world->usage.answer_tokens, 7);
    assert_true(world->server.last_had_key);
    assert_string_equal(world->server.last_request.data,
                        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"stream\":true,"
                        "\"stream_options\":{\"include_usage\":true}}");
}

static void streams_a_mebibyte(void **state)
{
    struct world *world = *state;
    struct reply *reply = reply_with(world, SSE_HEAD CHUNKED);
    struct buf expected = {0};
    for (int i = 0; expected.len < MIB; i++) {
        char text[64];
        snprintf(text, sizeof text, "word %d 会话, ", i);
        add_text(reply, text);
        buf_append_text(&expected, text);
    }
    add_end(reply);
    expect_answer(world, expected.data);
    buf_deinit(&expected);
}

static void reads_an_answer_in_one_piece(void **state)
{
    struct world *world = *state;
    struct reply *reply = reply_with(world, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" CHUNKED);
    add_chunk(reply, " \r\n");
    add_chunk(reply, "{\"choices\":[{\"message\":{\"content\":\"Who");
    add_chunk(reply, "le\"},\"finish_reason\":\"stop\"}]}\n");
    add_last_chunk(reply);
    reply->step = 1;
    expect_answer(world, "Whole");
}

static void keeps_connections(void **state)
{
    struct world *world = *state;
    reply_with_text(world, "again");
    for (int i = 0; i < 5; i++)
        expect_answer(world, "again");
    assert_int_equal(world->server.requests, 5);
    assert_int_equal(world->server.accepted, 1);
}

static void needs_no_end_of_the_stream(void **state)
{
    struct world *world = *state;
    struct reply *reply = reply_with(world, SSE_HEAD CHUNKED);
    add_text(reply, "all");
    add_chunk(reply, FINISH DONE);
    assert_true(expect_answer(world, "all") < 5000);
    expect_hang_up(world);
}

static void streams_many_at_a_time(void **state)
{
    struct world *world = *state;
    struct reply *reply = reply_with(world, SSE_HEAD CHUNKED);
    for (int i = 0; i < 20; i++)
        add_text(reply, "0123456789");
    add_end(reply);
    reply->step = 150;
    reply->pause_ms = 5;
    struct asked *asked = mem_alloc(PARALLEL * sizeof *asked);
    struct asked *chained = mem_alloc(PARALLEL * sizeof *chained);
    for (int i = 0; i < PARALLEL; i++) {
        asked[i].next = &chained[i];
        ask(world, &asked[i]);
    }
    for (int i = 0; i < PARALLEL; i++) {
        finish(world, &asked[i]);
        finish(world, &chained[i]);
        assert_int_equal(asked[i].err + chained[i].err, ERR_NONE);
        assert_int_equal(asked[i].text.len, 200);
        assert_int_equal(chained[i].text.len, 200);
        buf_deinit(&asked[i].text);
        buf_deinit(&chained[i].text);
    }
    assert_int_equal(world->server.requests, 2 * PARALLEL);
    free(asked);
    free(chained);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(streams_an_answer_cut_at_every_byte), WORLD_TEST(streams_a_mebibyte),
        WORLD_TEST(reads_an_answer_in_one_piece),        WORLD_TEST(keeps_connections),
        WORLD_TEST(needs_no_end_of_the_stream),          WORLD_TEST(streams_many_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
