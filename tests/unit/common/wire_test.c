#include "wire.h"

#include "event.pb-c.h"
#include "job.pb-c.h"
#include "tool.pb-c.h"
#include "turn.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LIMIT (1 << 20)

static ProtobufCBinaryData bytes_of(const char *text, size_t len)
{
    return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)text};
}

/* Events of `count` chunks. */
static void pack_chunks(struct buf *out, size_t count, char *connection, const char *text, size_t len)
{
    Parley__Chunk chunk = PARLEY__CHUNK__INIT;
    Parley__Event event = PARLEY__EVENT__INIT;
    Parley__Events events = PARLEY__EVENTS__INIT;
    Parley__Event *list[256];
    assert_true(count <= 256);
    chunk.text = bytes_of(text, len);
    chunk.offset = 7;
    event.connection = connection;
    event.turn = (char *)(uintptr_t) "t";
    event.kind_case = PARLEY__EVENT__KIND_CHUNK;
    event.chunk = &chunk;
    for (size_t i = 0; i < count; i++)
        list[i] = &event;
    events.n_events = count;
    events.events = list;
    wire_pack(&events.base, out);
}

static void test_round_trip_keeps_every_byte(void **state)
{
    (void)state;
    struct wire_arena *arena = wire_arena_new(LIMIT);
    for (size_t count = 1; count <= 256; count *= 4) { /* the arena is used again */
        struct buf packed = {0};
        Parley__Events *events = NULL;
        pack_chunks(&packed, count, (char *)(uintptr_t) "c-1", "a\0b", 3);
        assert_int_equal(wire_unpack(arena, &parley__events__descriptor, packed.data, packed.len, &events), ERR_NONE);
        assert_int_equal(events->n_events, count);
        assert_string_equal(events->events[count - 1]->connection, "c-1");
        assert_int_equal(events->events[count - 1]->chunk->text.len, 3);
        assert_memory_equal(events->events[count - 1]->chunk->text.data, "a\0b", 3);
        buf_deinit(&packed);
    }
    wire_arena_free(&arena);
    assert_null(arena);
}

static void test_packing_appends(void **state)
{
    (void)state;
    struct buf packed = {0};
    buf_append_text(&packed, "head");
    Parley__ToolCancel empty = PARLEY__TOOL_CANCEL__INIT;
    wire_pack(&empty.base, &packed);
    assert_int_equal(packed.len, 4);
    assert_string_equal(packed.data, "head");
    buf_deinit(&packed);
}

static int unpack_events(struct wire_arena *arena, const struct buf *packed)
{
    Parley__Events *events;
    return wire_unpack(arena, &parley__events__descriptor, packed->data, packed->len, &events);
}

static void test_limit_holds_at_every_size(void **state)
{
    (void)state;
    struct buf packed = {0};
    pack_chunks(&packed, 50, (char *)(uintptr_t) "c", "text", 4);
    int err = ERR_INVALID;
    size_t limit = 0;
    for (; err && limit < LIMIT; limit += 64) {
        struct wire_arena *arena = wire_arena_new(limit);
        err = unpack_events(arena, &packed);
        wire_arena_free(&arena);
    }
    assert_int_equal(err, ERR_NONE);
    assert_true(limit > packed.len && limit < 100000);
    buf_deinit(&packed);
}

static void test_small_input_cannot_take_much(void **state)
{
    (void)state;
    struct wire_arena *arena = wire_arena_new(LIMIT);
    struct buf packed = {0};
    for (int i = 0; i < 500000; i++)
        buf_append(&packed, "\x0a\x00", 2); /* one empty event each */
    assert_int_equal(unpack_events(arena, &packed), ERR_INVALID);
    buf_reset(&packed);
    pack_chunks(&packed, 1, (char *)(uintptr_t) "c", "text", 4); /* the arena is still good */
    assert_int_equal(unpack_events(arena, &packed), ERR_NONE);
    buf_deinit(&packed);
    wire_arena_free(&arena);
}

/* Many small pieces, then one large: the chunks of the former must not stand in the way of the latter. */
static void test_large_piece_after_small_ones(void **state)
{
    (void)state;
    static char text[LIMIT - 20000];
    struct wire_arena *arena = wire_arena_new(LIMIT);
    struct buf packed = {0};
    for (int i = 0; i < 6000; i++)
        buf_append(&packed, "\x0a\x00", 2);
    assert_int_equal(unpack_events(arena, &packed), ERR_NONE);
    for (int i = 0; i < 3; i++) {
        buf_reset(&packed);
        pack_chunks(&packed, 1, (char *)(uintptr_t) "c", text, sizeof text);
        assert_int_equal(unpack_events(arena, &packed), ERR_NONE);
    }
    buf_deinit(&packed);
    wire_arena_free(&arena);
}

static void test_garbage_is_refused(void **state)
{
    (void)state;
    struct wire_arena *arena = wire_arena_new(LIMIT);
    struct buf packed = {0};
    pack_chunks(&packed, 3, (char *)(uintptr_t) "connection", "text", 4);
    for (size_t len = 0; len < packed.len; len++) { /* cut anywhere: an error, or fewer events */
        Parley__Events *events;
        int err = wire_unpack(arena, &parley__events__descriptor, packed.data, len, &events);
        assert_true(err == ERR_INVALID || events->n_events < 3);
    }
    for (size_t i = 0; i < packed.len; i++) { /* any byte wrong: no crash */
        packed.data[i] ^= (char)0xff;
        (void)!unpack_events(arena, &packed);
        packed.data[i] ^= (char)0xff;
    }
    buf_deinit(&packed);
    wire_arena_free(&arena);
}

static void assert_connection(const char *bytes, size_t len, int expected)
{
    struct wire_arena *arena = wire_arena_new(LIMIT);
    struct buf packed = {0};
    /* Events{events: [Event{connection: bytes}]} by hand, so that it may hold anything. */
    char head[] = {0x0a, (char)(len + 2), 0x0a, (char)len};
    buf_append(&packed, head, sizeof head);
    buf_append(&packed, bytes, len);
    assert_int_equal(unpack_events(arena, &packed), expected);
    buf_deinit(&packed);
    wire_arena_free(&arena);
}

static void test_strings_are_checked_when_nested(void **state)
{
    (void)state;
    assert_connection("", 0, ERR_NONE);
    assert_connection("plain-1", 7, ERR_NONE);
    assert_connection("\xe4\xbc\x9a\xe8\xaf\x9d", 6, ERR_NONE);
    assert_connection("\xc2\xa0", 2, ERR_NONE);
    assert_connection("a\0b", 3, ERR_INVALID);
    assert_connection("a\n", 2, ERR_INVALID);
    assert_connection("\x7f", 1, ERR_INVALID);
    assert_connection("\xc2\x85", 2, ERR_INVALID);
    assert_connection("\xe4\xbc", 2, ERR_INVALID);
    assert_connection("\xff", 1, ERR_INVALID);
}

static void test_strings_are_checked_in_every_place(void **state)
{
    (void)state;
    struct wire_arena *arena = wire_arena_new(LIMIT);
    struct buf packed = {0};
    char *tools[] = {(char *)(uintptr_t) "ok", (char *)(uintptr_t) "not\tok"};
    Parley__Persona persona = PARLEY__PERSONA__INIT;
    Parley__Job job = PARLEY__JOB__INIT;
    Parley__Job *unpacked;
    persona.n_tools = 2;
    persona.tools = tools;
    job.persona = &persona;
    wire_pack(&job.base, &packed);
    assert_int_equal(wire_unpack(arena, &parley__job__descriptor, packed.data, packed.len, &unpacked), ERR_INVALID);
    persona.n_tools = 1;
    buf_reset(&packed);
    wire_pack(&job.base, &packed);
    assert_int_equal(wire_unpack(arena, &parley__job__descriptor, packed.data, packed.len, &unpacked), ERR_NONE);
    assert_string_equal(unpacked->persona->tools[0], "ok");

    Parley__Attach attach = PARLEY__ATTACH__INIT; /* in a oneof */
    Parley__TurnControl control = PARLEY__TURN_CONTROL__INIT;
    Parley__TurnControl *control_unpacked;
    attach.gateway = (char *)(uintptr_t) "\x01";
    control.kind_case = PARLEY__TURN_CONTROL__KIND_ATTACH;
    control.attach = &attach;
    buf_reset(&packed);
    wire_pack(&control.base, &packed);
    assert_int_equal(wire_unpack(arena, &parley__turn_control__descriptor, packed.data, packed.len, &control_unpacked),
                     ERR_INVALID);
    buf_deinit(&packed);
    wire_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip_keeps_every_byte),
        cmocka_unit_test(test_packing_appends),
        cmocka_unit_test(test_limit_holds_at_every_size),
        cmocka_unit_test(test_small_input_cannot_take_much),
        cmocka_unit_test(test_large_piece_after_small_ones),
        cmocka_unit_test(test_garbage_is_refused),
        cmocka_unit_test(test_strings_are_checked_when_nested),
        cmocka_unit_test(test_strings_are_checked_in_every_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
