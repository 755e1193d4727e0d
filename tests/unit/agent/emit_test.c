#include "emit.h"

#include "fake_bus.h"
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    uv_loop_t loop;
    struct emit *emit;
    struct wire_arena *arena;
    struct transcript transcript;
    struct voice voice;
};

static int setup(void **state)
{
    static struct fixture f;

    f = (struct fixture){0};
    fake_bus_reset();
    uv_loop_init(&f.loop);
    f.emit = emit_new(&f.loop, NULL, NULL);
    f.arena = wire_arena_new(8 << 20);
    voice_init(&f.voice, f.emit, "turn", 1, &f.transcript);
    voice_listen(&f.voice, "gateway", "connection", 0, 0);
    voice_open(&f.voice);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    voice_deinit(&f->voice);
    emit_free(&f->emit);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    wire_arena_free(&f->arena);
    transcript_deinit(&f->transcript);
    fake_bus_reset();
    return 0;
}

static void say(struct fixture *f, const char *text)
{
    buf_append_text(&f->transcript.text, text);
    voice_say(&f->voice);
}

/* Message `index`; lent by the arena. */
static Parley__Events *events_of(struct fixture *f, size_t index)
{
    Parley__Events *events;

    assert_true(index < fake_message_count);
    assert_int_equal(wire_unpack(f->arena, &parley__events__descriptor, fake_messages[index].payload.data,
                                 fake_messages[index].payload.len, &events),
                     ERR_NONE);
    return events;
}

static void assert_chunk(const Parley__Event *event, uint64_t offset, const char *text)
{
    assert_int_equal(event->kind_case, PARLEY__EVENT__KIND_CHUNK);
    assert_int_equal(event->chunk->offset, offset);
    assert_int_equal(event->chunk->text.len, strlen(text));
    assert_memory_equal(event->chunk->text.data, text, strlen(text));
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

/* One turn of the loop, which stands still while nothing keeps it. */
static void turn_loop(struct fixture *f)
{
    uv_idle_t idle;

    uv_idle_init(&f->loop, &idle);
    uv_idle_start(&idle, on_idle);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    uv_close((uv_handle_t *)&idle, NULL);
    uv_run(&f->loop, UV_RUN_NOWAIT);
}

static void test_what_one_turn_of_the_loop_said_is_one_chunk(void **state)
{
    struct fixture *f = *state;

    say(f, "one ");
    say(f, "two");
    assert_int_equal(fake_message_count, 0);
    turn_loop(f);
    assert_int_equal(fake_message_count, 1);
    assert_string_equal(fake_messages[0].subject, "parley.conn.gateway");
    Parley__Events *events = events_of(f, 0);
    assert_int_equal(events->n_events, 1);
    assert_string_equal(events->events[0]->connection, "connection");
    assert_string_equal(events->events[0]->turn, "turn");
    assert_int_equal(events->events[0]->attempt, 1);
    assert_chunk(events->events[0], 0, "one two");
    say(f, "!");
    emit_flush(f->emit);
    assert_chunk(events_of(f, 1)->events[0], 7, "!");
}

static void test_turns_of_one_gateway_share_a_message(void **state)
{
    struct fixture *f = *state;
    struct transcript others = {0};
    struct voice other;

    voice_init(&other, f->emit, "other", 2, &others);
    voice_listen(&other, "gateway", "c2", 0, 0);
    voice_open(&other);
    buf_append_text(&others.text, "there");
    voice_say(&other);
    say(f, "here");
    emit_flush(f->emit);
    assert_int_equal(fake_message_count, 1);
    assert_int_equal(events_of(f, 0)->n_events, 2);
    voice_deinit(&other);
    transcript_deinit(&others);
}

static void test_events_stand_between_the_text_around_them(void **state)
{
    struct fixture *f = *state;
    Parley__Completed completed = PARLEY__COMPLETED__INIT;
    Parley__Event end = PARLEY__EVENT__INIT;

    say(f, "before");
    transcript_add(&f->transcript, 1, "call", "tool", "{}", 2);
    transcript_finish(&f->transcript, 0, true, "42", 2);
    say(f, "after");
    end.kind_case = PARLEY__EVENT__KIND_COMPLETED;
    end.completed = &completed;
    voice_event(&f->voice, &end);
    emit_flush(f->emit);
    Parley__Events *events = events_of(f, 0);
    assert_int_equal(events->n_events, 5);
    assert_chunk(events->events[0], 0, "before");
    assert_int_equal(events->events[1]->kind_case, PARLEY__EVENT__KIND_TOOL_STARTED);
    assert_int_equal(events->events[1]->tool_started->step, 1);
    assert_int_equal(events->events[1]->tool_started->offset, 6);
    assert_int_equal(events->events[2]->kind_case, PARLEY__EVENT__KIND_TOOL_FINISHED);
    assert_int_equal(events->events[2]->tool_finished->step, 2);
    assert_chunk(events->events[3], 6, "after");
    assert_int_equal(events->events[4]->kind_case, PARLEY__EVENT__KIND_COMPLETED);
}

static void test_large_text_is_cut_between_code_points(void **state)
{
    struct fixture *f = *state;
    struct buf joined = {0};

    fake_max_payload = 2048;
    for (int i = 0; i < 1000; i++)
        buf_append_text(&f->transcript.text, "\xf0\x9f\x98\x80\xe4\xbc\x9a"); /* 4 and 3 bytes */
    voice_say(&f->voice);
    emit_flush(f->emit);
    assert_true(fake_message_count > 3);
    for (size_t i = 0; i < fake_message_count; i++) {
        assert_true(fake_messages[i].payload.len < fake_max_payload);
        Parley__Events *events = events_of(f, i);
        for (size_t j = 0; j < events->n_events; j++) {
            const Parley__Chunk *chunk = events->events[j]->chunk;
            assert_int_equal(chunk->offset, joined.len);
            assert_int_not_equal(chunk->text.data[0] & 0xc0, 0x80);
            buf_append(&joined, chunk->text.data, chunk->text.len);
        }
    }
    assert_int_equal(joined.len, f->transcript.text.len);
    assert_memory_equal(joined.data, f->transcript.text.data, joined.len);
    buf_deinit(&joined);
}

static void test_a_gap_is_sent_again_to_who_asks(void **state)
{
    struct fixture *f = *state;

    say(f, "a\xc3\xa9"
           "b");
    emit_flush(f->emit);
    voice_listen(&f->voice, "second", "c2", 2, 0); /* within the é: it comes whole */
    emit_flush(f->emit);
    assert_int_equal(fake_message_count, 2);
    assert_string_equal(fake_messages[1].subject, "parley.conn.second");
    assert_chunk(events_of(f, 1)->events[0], 1,
                 "\xc3\xa9"
                 "b");
    assert_string_equal(events_of(f, 1)->events[0]->connection, "c2");
    say(f, "!");
    emit_flush(f->emit);
    assert_int_equal(fake_message_count, 4); /* both listen */
}

static void test_positions_beyond_what_is_there_wait(void **state)
{
    struct fixture *f = *state;

    voice_listen(&f->voice, "gateway", "connection", 3, 0);
    say(f, "abc");
    emit_flush(f->emit);
    assert_int_equal(fake_message_count, 0);
    say(f, "d");
    emit_flush(f->emit);
    assert_chunk(events_of(f, 0)->events[0], 3, "d");
}

static void test_a_mute_voice_keeps_its_text(void **state)
{
    struct fixture *f = *state;
    struct transcript text = {0};
    struct voice mute;

    voice_init(&mute, f->emit, "mute", 1, &text);
    buf_append_text(&text.text, "psst");
    voice_listen(&mute, "gateway", "c2", 0, 0);
    emit_flush(f->emit);
    assert_int_equal(fake_message_count, 0);
    voice_open(&mute);
    voice_deinit(&mute);
    emit_flush(f->emit);
    assert_chunk(events_of(f, 0)->events[0], 0, "psst");
    transcript_deinit(&text);
}

static void test_too_many_listeners(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < VOICE_LISTENERS_MAX; i++) {
        char gateway[] = {'g', (char)('0' + i), '\0'};
        voice_listen(&f->voice, gateway, "c", 0, 0);
    }
    say(f, "x");
    emit_flush(f->emit);
    assert_int_equal(fake_message_count, VOICE_LISTENERS_MAX);
    for (size_t i = 0; i < fake_message_count; i++)
        assert_string_not_equal(fake_messages[i].subject, "parley.conn.gateway");
}

/* In the order in which there was something for them, each once, and those without a word not at all. */
static void test_each_that_has_something_is_sent_it_once(void **state)
{
    static const char *const subjects[] = {"parley.conn.third", "parley.conn.first", "parley.conn.gateway"};
    struct fixture *f = *state;
    Parley__Alive alive = PARLEY__ALIVE__INIT;
    Parley__Event event = PARLEY__EVENT__INIT;

    voice_listen(&f->voice, "first", "c", 0, 0);
    voice_listen(&f->voice, "second", "c", 100, 0); /* it has more already */
    voice_listen(&f->voice, "third", "c", 0, 0);
    event.kind_case = PARLEY__EVENT__KIND_ALIVE;
    event.alive = &alive;
    voice_greet(&f->voice, "third", &event);
    voice_greet(&f->voice, "first", &event);
    for (int round = 0; round < 2; round++)
        voice_greet(&f->voice, "third", &event);
    say(f, "x");
    emit_flush(f->emit);
    assert_int_equal(fake_message_count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(fake_messages[i].subject, subjects[i]);
    assert_int_equal(events_of(f, 0)->n_events, 4);
    emit_flush(f->emit);
    assert_int_equal(fake_message_count, 3);
    say(f, "y");
    emit_flush(f->emit);
    assert_int_equal(fake_message_count, 6);
}

/* A way that goes takes what it has not sent yet along, and leaves the others theirs. */
static void test_who_goes_is_sent_what_was_said(void **state)
{
    struct fixture *f = *state;
    struct transcript text = {0};
    struct voice leaving;

    say(f, "before");
    voice_init(&leaving, f->emit, "leaving", 1, &text);
    voice_listen_room(&leaving, "hall", "c", 0, 0);
    voice_open(&leaving);
    buf_append_text(&text.text, "bye");
    voice_say(&leaving);
    voice_deinit(&leaving);
    assert_int_equal(fake_message_count, 1);
    assert_string_equal(fake_messages[0].subject, "parley.room.hall");
    emit_flush(f->emit);
    assert_int_equal(fake_message_count, 2);
    assert_chunk(events_of(f, 1)->events[0], 0, "before");
    transcript_deinit(&text);
}

static void test_what_is_refused_is_dropped(void **state)
{
    struct fixture *f = *state;

    fake_publish_error = ERR_DISCONNECTED;
    say(f, "lost");
    emit_flush(f->emit);
    fake_publish_error = ERR_NONE;
    say(f, "kept");
    emit_flush(f->emit);
    assert_int_equal(fake_message_count, 1);
    assert_chunk(events_of(f, 0)->events[0], 4, "kept");
}

static void test_a_room_is_spoken_to_beside_a_gateway(void **state)
{
    struct fixture *f = *state;
    struct transcript text = {0};
    struct voice roomed;

    voice_init(&roomed, f->emit, "roomed", 1, &text);
    voice_listen_room(&roomed, "hall", "asker", 0, 0);
    voice_open(&roomed);
    buf_append_text(&text.text, "hello");
    voice_say(&roomed);
    emit_flush(f->emit);
    assert_int_equal(fake_message_count, 1);
    assert_string_equal(fake_messages[0].subject, "parley.room.hall");
    assert_string_equal(events_of(f, 0)->events[0]->connection, "asker");
    voice_listen(&roomed, "gateway", "late", 2, 0);
    emit_flush(f->emit);
    assert_int_equal(fake_message_count, 2);
    assert_string_equal(fake_messages[1].subject, "parley.conn.gateway");
    assert_chunk(events_of(f, 1)->events[0], 2, "llo");
    voice_deinit(&roomed);
    transcript_deinit(&text);
}

static void test_a_greeting_is_for_one_and_comes_before_the_text(void **state)
{
    struct fixture *f = *state;
    Parley__Started started = PARLEY__STARTED__INIT;
    Parley__Event event = PARLEY__EVENT__INIT;

    say(f, "text");
    voice_listen(&f->voice, "late", "c2", 0, 0);
    event.kind_case = PARLEY__EVENT__KIND_STARTED;
    event.started = &started;
    voice_greet(&f->voice, "late", &event);
    voice_greet(&f->voice, "nobody", &event);
    emit_flush(f->emit);
    assert_int_equal(fake_message_count, 2);
    for (size_t i = 0; i < 2; i++) {
        bool late = strcmp(fake_messages[i].subject, "parley.conn.late") == 0;
        Parley__Events *events = events_of(f, i);
        assert_int_equal(events->n_events, late ? 2 : 1);
        if (late)
            assert_int_equal(events->events[0]->kind_case, PARLEY__EVENT__KIND_STARTED);
        assert_chunk(events->events[events->n_events - 1], 0, "text");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_one_turn_of_the_loop_said_is_one_chunk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_turns_of_one_gateway_share_a_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_events_stand_between_the_text_around_them, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_text_is_cut_between_code_points, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_gap_is_sent_again_to_who_asks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_positions_beyond_what_is_there_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_room_is_spoken_to_beside_a_gateway, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_greeting_is_for_one_and_comes_before_the_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_mute_voice_keeps_its_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many_listeners, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_that_has_something_is_sent_it_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_goes_is_sent_what_was_said, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_refused_is_dropped, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
