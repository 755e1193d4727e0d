#include "frames.h"
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

static const char *payload(const struct buf *frame)
{
    return frame->data + frame->len - web_frame_len(frame);
}

/* Every character of one byte, and some of more, comes back from the parser as it went in. */
static void test_texts_come_back(void **state)
{
    (void)state;
    struct frames frames = {0};
    char text[128 + 16];
    for (int c = 0; c < 128; c++)
        text[c] = (char)c;
    memcpy(text + 128, "\xc3\xa9\xe4\xbd\xa0\xf0\x9f\x98\x80", 9);
    const size_t len = 128 + 9;
    struct buf *frame = frames_add(&frames);
    frames_append_text(frame, text, len);
    json_t *value;
    assert_int_equal(json_parse(payload(frame), web_frame_len(frame), NULL, 0, &value), ERR_NONE);
    assert_int_equal(json_string_length(value), len);
    assert_memory_equal(json_string_value(value), text, len);
    json_decref(value);
    frames_deinit(&frames);
}

static void test_an_empty_text(void **state)
{
    (void)state;
    struct frames frames = {0};
    struct buf *frame = frames_add(&frames);
    frames_append_text(frame, "", 0);
    assert_string_equal(payload(frame), "\"\"");
    frames_deinit(&frames);
}

static void test_memory_is_used_again(void **state)
{
    (void)state;
    struct frames frames = {0};
    frames_add_json(&frames, json_pack("{s:i}", "a", 1));
    frames_add_json(&frames, json_pack("{s:i}", "b", 2));
    assert_int_equal(frames.count, 2);
    assert_string_equal(payload(&frames.list[1]), "{\"b\":2}");
    frames_reset(&frames);
    assert_int_equal(frames.count, 0);
    frames_append_seconds(frames_add(&frames), 1763699036.25);
    assert_string_equal(payload(&frames.list[0]), "1763699036.250000");
    frames_deinit(&frames);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_come_back),
        cmocka_unit_test(test_an_empty_text),
        cmocka_unit_test(test_memory_is_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
