/* For the tests of dialects: a client, what it says, and the frames that it gets. */
#ifndef PARLEY_DIALECT_FIXTURE_H
#define PARLEY_DIALECT_FIXTURE_H

#include "dialect.h"
#include "json.h"
#include "web.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW       1763699036.25
#define NOW_ISO   "2025-11-21T04:23:56.250000"
#define CLIENT_ID "11111111-1111-4111-8111-111111111111"
#define FRESH_ID  "22222222-2222-4222-8222-222222222222"
#define APOLOGY   "抱歉，我暂时无法处理您的请求，请稍后再试。"

#define SPAN(text) ((struct dialect_span){text, sizeof(text) - 1})

static struct dialect_client client = {.id = CLIENT_ID};
static struct frames out;
static struct dialect_request request;
static const char *argument_value; /* of the address's only query argument */

static const char *argument(const void *address, const char *name)
{
    return strcmp(address, name) == 0 ? argument_value : NULL;
}

static inline int reset(void **state)
{
    (void)state;
    argument_value = NULL;
    client.extended = false;
    client.variant = 0;
    dialect_client_deinit(&client);
    frames_deinit(&out);
    dialect_request_deinit(&request);
    return 0;
}

/* `argument_name`: of the address. */
static inline void open_at(const struct dialect *dialect, const char *path, const char *argument_name)
{
    const struct dialect_context context = {
        .now = NOW, .fresh_id = FRESH_ID, .apology = APOLOGY, .argument = argument, .address = argument_name};
    assert_ptr_equal(dialect_at(path), dialect);
    frames_reset(&out);
    dialect_request_deinit(&request);
    dialect->open(&client, &context, path, &request, &out);
}

static inline void decode(const struct dialect *dialect, const char *bytes, size_t len, bool binary)
{
    const struct dialect_context context = {.now = NOW, .fresh_id = FRESH_ID, .apology = APOLOGY};
    char *exact = malloc(len > 0 ? len : 1); /* just that size: the sanitizer sees a read past its end */
    if (len > 0)
        memcpy(exact, bytes, len);
    frames_reset(&out);
    dialect_request_deinit(&request);
    dialect->decode(&client, &context, exact, len, binary, &request, &out);
    free(exact);
}

static inline void decode_text(const struct dialect *dialect, const char *text)
{
    decode(dialect, text, strlen(text), false);
}

static inline json_t *parse(const char *text, size_t len)
{
    json_t *value = NULL;
    char reason[256];
    if (json_parse(text, len, reason, sizeof reason, &value) != ERR_NONE)
        fail_msg("%s: %.*s", reason, (int)len, text);
    return value;
}

static inline json_t *frame_at(size_t i)
{
    const struct buf *frame = &out.list[i];
    size_t len = web_frame_len(frame);
    return parse(frame->data + frame->len - len, len);
}

/* The frames are these, and no more; the expectation is JSON too, so the order of keys does not matter. */
static inline void assert_frames(const char *const *expected, size_t count)
{
    assert_int_equal(out.count, count);
    for (size_t i = 0; i < count; i++) {
        json_t *is = frame_at(i), *should = parse(expected[i], strlen(expected[i]));
        if (!json_equal(is, should))
            fail_msg("got %s, expected %s", json_dumps(is, 0), expected[i]);
        json_decref(is);
        json_decref(should);
    }
}

static inline void assert_frame(const char *expected)
{
    assert_frames(&expected, 1);
}

static inline void assert_json(json_t *is, const char *expected)
{
    json_t *should = parse(expected, strlen(expected));
    if (!json_equal(is, should))
        fail_msg("got %s, expected %s", json_dumps(is, 0), expected);
    json_decref(is);
    json_decref(should);
}

/* It was answered with this frame, and nothing follows from it. */
static inline void assert_refused(const char *expected)
{
    assert_int_equal(request.kind, DIALECT_NOTHING);
    assert_frame(expected);
}

static inline void assert_buf(const struct buf *buf, const char *bytes, size_t len)
{
    assert_int_equal(buf->len, len);
    assert_memory_equal(buf->data, bytes, len);
}
#define assert_buf_is(buf, literal) assert_buf(buf, literal, sizeof(literal) - 1)

static inline void assert_question(const char *question, size_t len)
{
    assert_int_equal(request.kind, DIALECT_ASK);
    assert_int_equal(out.count, 0);
    assert_int_equal(request.question_len, len);
    assert_memory_equal(request.question, question, len);
}

/* Of what was asked last. */
static inline void tell(const struct dialect *dialect, struct dialect_occasion occasion)
{
    frames_reset(&out);
    struct dialect_span *const spans[] = {&occasion.text, &occasion.all,    &occasion.tool,   &occasion.call,
                                          &occasion.data, &occasion.reason, &occasion.apology};
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
        if (!spans[i]->data)
            *spans[i] = SPAN("");
    occasion.now = NOW;
    occasion.request = &request;
    occasion.vendor = occasion.model = "";
    dialect->encode(&client, &occasion, &out);
}

static inline void repeat(struct buf *text, const char *piece, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_append_text(text, piece);
}

/* What is no JSON object that could be read, each refused with this frame. */
static inline void assert_refuses_garbage(const struct dialect *dialect, const char *expected)
{
    static const char *const texts[] = {
        "",
        "{",
        "}",
        "hello",
        "nul",
        "{\"type\":\"ping\"} {}",
        "{\"type\":\"ping\",\"type\":\"ping\"}",
        "{\"type\":\"ping\",\"a\":\"\\ud800\"}",
        "{\"type\":\"ping\",\"a\":\"\\udc00\\ud800\"}",
        "{\"type\":\"ping\",\"a\":NaN}",
        "{'type':'ping'}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        decode_text(dialect, texts[i]);
        assert_refused(expected);
    }
    decode(dialect, "{\"type\":\"ping\"}", 15, true);
    assert_refused(expected);
    decode(dialect, "\0\xff\xfe", 3, true);
    assert_refused(expected);
    struct buf deep = {0};
    buf_append_text(&deep, "{\"type\":\"ping\",\"a\":");
    repeat(&deep, "[", 10000);
    repeat(&deep, "]", 10000);
    buf_append_char(&deep, '}');
    decode(dialect, deep.data, deep.len, false);
    assert_refused(expected);
    buf_deinit(&deep);
}

/* A message with one text of a mebibyte in this place of it: before, "a" × 2^20, after. */
static inline void decode_large(const struct dialect *dialect, const char *before, const char *after)
{
    struct buf text = {0};
    buf_append_text(&text, before);
    repeat(&text, "aaaaaaaaaaaaaaaa", 1 << 16);
    buf_append_text(&text, after);
    decode(dialect, text.data, text.len, false);
    buf_deinit(&text);
}

#endif
