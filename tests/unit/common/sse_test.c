#include "sse.h"

#include "mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LIMIT 1000

/* Events as "type=data|type=data|". */
static void note(void *arg, const char *type, const char *data, size_t len)
{
    struct buf *events = arg;
    assert_int_equal(data[len], '\0');
    buf_append_text(events, type);
    buf_append_char(events, '=');
    buf_append(events, data, len);
    buf_append_char(events, '|');
}

/* Fed in pieces of `step` bytes, each a copy of just that size: the sanitizer sees a read past its end. */
static int feed(const char *stream, size_t len, size_t step, size_t limit, struct buf *events)
{
    struct sse sse;
    sse_init(&sse, limit);
    int err = ERR_NONE;
    for (size_t at = 0; at < len; at += step) {
        size_t piece_len = len - at < step ? len - at : step;
        char *piece = mem_dup(stream + at, piece_len);
        err = sse_feed(&sse, piece, piece_len, note, events);
        free(piece);
    }
    sse_deinit(&sse);
    return err;
}

static void gives(const char *stream, size_t len, const char *expected, size_t expected_len)
{
    for (size_t step = 1; step <= len; step++) {
        struct buf events = {0};
        assert_int_equal(feed(stream, len, step, LIMIT, &events), ERR_NONE);
        assert_int_equal(events.len, expected_len);
        if (expected_len > 0)
            assert_memory_equal(events.data, expected, expected_len);
        buf_deinit(&events);
    }
}

#define GIVES(stream, expected) gives(stream, sizeof(stream) - 1, expected, sizeof(expected) - 1)

static void ends_lines_with_lf_cr_and_crlf(void **state)
{
    (void)state;
    GIVES("data: a\n\ndata: b\n\n", "message=a|message=b|");
    GIVES("data: a\r\rdata: b\r\r", "message=a|message=b|");
    GIVES("data: a\r\n\r\ndata: b\r\n\r\n", "message=a|message=b|");
    GIVES("data: a\r\n\ndata: b\n\rdata: c\r\r\n", "message=a|message=b|message=c|");
    GIVES("\n\r\r\n\n\ndata: a\n\n\n\n", "message=a|");
}

static void joins_the_lines_of_an_event(void **state)
{
    (void)state;
    GIVES("data: a\ndata: b\r\ndata\ndata:c\n\n", "message=a\nb\n\nc|");
    GIVES("data\n\ndata:\n\n", "message=|message=|");
    GIVES("data:  two spaces \n\n", "message= two spaces |");
    GIVES("data: a:b: c\n\n", "message=a:b: c|");
}

static void names_events(void **state)
{
    (void)state;
    GIVES("event: ping\ndata: 1\n\ndata: 2\n\n", "ping=1|message=2|");
    GIVES("data: 1\nevent: a\nevent: b\n\n", "b=1|");
    GIVES("event: lost\n\ndata: 1\n\n", "message=1|");
}

static void skips_what_it_need_not_know(void **state)
{
    (void)state;
    GIVES(": comment\n:\nid: 7\nretry: 10\nfoo: bar\nDATA: x\n data: y\ndatax: z\ndata: a\n\n", "message=a|");
    GIVES("{\"not\": \"sse\"}\n\n<html>\n\n", "");
}

static void drops_what_is_not_complete(void **state)
{
    (void)state;
    GIVES("data: a\n\ndata: b\n", "message=a|");
    GIVES("data: a\n\ndata: b", "message=a|");
}

static void skips_one_byte_order_mark(void **state)
{
    (void)state;
    GIVES("\xef\xbb\xbf"
          "data: a\n\n",
          "message=a|");
    GIVES("\xef\xbb\xbf\xef\xbb\xbf"
          "data: a\n\n",
          "");
    GIVES("data: a\n\n\xef\xbb\xbf"
          "data: b\n\n",
          "message=a|");
}

static void passes_any_byte(void **state)
{
    (void)state;
    GIVES("data: a\0b\n\n", "message=a\0b|");
    GIVES("data: 会话 \xf0\x9f\x98\x80 \xff\xfe\n\n", "message=会话 \xf0\x9f\x98\x80 \xff\xfe|");
}

static void bounds_an_event(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 7, 100, 100000};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct buf events = {0}, stream = {0};
        buf_append_text(&stream, "data: first\n\n");
        for (int line = 0; line < 20; line++)
            buf_append_text(&stream, "data: 0123456789\n");
        buf_append_text(&stream, "\ndata: last\n\n");
        assert_int_equal(feed(stream.data, stream.len, steps[i], 100, &events), ERR_TOO_LARGE);
        assert_string_equal(events.data, "message=first|");
        buf_reset(&events);
        assert_int_equal(feed(stream.data, stream.len, steps[i], 400, &events), ERR_NONE);
        buf_deinit(&events);
        buf_deinit(&stream);
    }
}

static void bounds_a_line_without_end(void **state)
{
    (void)state;
    struct buf events = {0};
    static const char line[] = ": a comment that goes on, and on, and on, and on";
    assert_int_equal(feed(line, strlen(line), 1, strlen(line), &events), ERR_NONE);
    assert_int_equal(feed(line, strlen(line), 1, strlen(line) - 1, &events), ERR_TOO_LARGE);
    assert_int_equal(feed(line, strlen(line), 100, strlen(line) - 1, &events), ERR_TOO_LARGE);
    assert_int_equal(events.len, 0);
    buf_deinit(&events);
}

static void stays_too_large(void **state)
{
    (void)state;
    struct buf events = {0};
    struct sse sse;
    sse_init(&sse, 10);
    assert_int_equal(sse_feed(&sse, "data: 12345678901\n", 18, note, &events), ERR_TOO_LARGE);
    assert_int_equal(sse_feed(&sse, "\n\ndata: a\n\n", 11, note, &events), ERR_TOO_LARGE);
    assert_int_equal(events.len, 0);
    sse_deinit(&sse);
    buf_deinit(&events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_lines_with_lf_cr_and_crlf),
        cmocka_unit_test(joins_the_lines_of_an_event),
        cmocka_unit_test(names_events),
        cmocka_unit_test(skips_what_it_need_not_know),
        cmocka_unit_test(drops_what_is_not_complete),
        cmocka_unit_test(skips_one_byte_order_mark),
        cmocka_unit_test(passes_any_byte),
        cmocka_unit_test(bounds_an_event),
        cmocka_unit_test(bounds_a_line_without_end),
        cmocka_unit_test(stays_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
