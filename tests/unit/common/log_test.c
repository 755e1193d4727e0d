#include "log.h"

#include "buf.h"
#include "err.h"
#include "json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int real_stderr, reading, writing;

static int redirect(void **state)
{
    (void)state;
    int ends[2];
    if (pipe(ends) != 0)
        return -1;
    reading = ends[0];
    writing = ends[1];
    real_stderr = dup(STDERR_FILENO);
    return dup2(writing, STDERR_FILENO) < 0;
}

static int restore(void **state)
{
    (void)state;
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(reading);
    close(writing);
    return 0;
}

/* What was logged since; a mark behind it saves waiting for a line that never comes. */
static struct buf logged(void)
{
    struct buf out = {0};
    assert_int_equal(write(writing, "\x04", 1), 1);
    char c = 0;
    while (read(reading, &c, 1) == 1 && c != '\x04')
        buf_append_char(&out, c);
    buf_append(&out, "", 0);
    return out;
}

static json_t *logged_object(void)
{
    struct buf line = logged();
    assert_true(line.len > 0);
    assert_ptr_equal(strchr(line.data, '\n'), line.data + line.len - 1);
    json_t *object = NULL;
    char reason[200] = "";
    int err = json_parse(line.data, line.len, reason, sizeof reason, &object);
    assert_string_equal(reason, "");
    assert_int_equal(err, ERR_NONE);
    buf_deinit(&line);
    return object;
}

static void writes_json_lines(void **state)
{
    (void)state;
    log_init("agent", "info", "auto"); /* a pipe is no terminal */
    log_warning("turn completed", LOG_TEXT("turn", "t1"), LOG_INT("attempt", -2), LOG_TEXT("left_out", NULL),
                LOG_ERR(ERR_FULL));
    json_t *object = logged_object();
    size_t len;
    const char *time = json_get_text(object, "time", &len);
    assert_int_equal(len, 27);
    assert_int_equal(time[10], 'T');
    assert_int_equal(time[26], 'Z');
    assert_string_equal(json_get_text(object, "level", NULL), "warning");
    assert_string_equal(json_get_text(object, "service", NULL), "agent");
    assert_string_equal(json_get_text(object, "message", NULL), "turn completed");
    assert_string_equal(json_get_text(object, "turn", NULL), "t1");
    assert_string_equal(json_get_text(object, "error", NULL), "a queue is full");
    assert_int_equal(json_get_int(object, "attempt", 0), -2);
    assert_int_equal(json_object_size(object), 7);
    json_decref(object);
}

static void escapes_whatever_bytes(void **state)
{
    (void)state;
    log_init("agent", "info", "json");
    char all[256];
    for (int i = 1; i < 256; i++)
        all[i - 1] = (char)i;
    all[255] = '\0';
    log_info(all, LOG_TEXT("all", all), LOG_TEXT("good", "a\"\\\n\té😀"), LOG_TEXT("bad", "x\xff\xe2\x82y"));
    json_t *object = logged_object();
    assert_string_equal(json_get_text(object, "good", NULL), "a\"\\\n\té😀");
    assert_string_equal(json_get_text(object, "bad", NULL), "x\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdy");
    assert_memory_equal(json_get_text(object, "all", NULL), all, 127);
    assert_memory_equal(json_get_text(object, "message", NULL), all, 127);
    json_decref(object);
}

static void writes_readable_text(void **state)
{
    (void)state;
    log_init("agent", "debug", "text");
    log_debug("a\nb", LOG_TEXT("plain", "x.y:1"), LOG_TEXT("spaced", "a b\x1b[0m\xc2\x9b"), LOG_TEXT("empty", ""),
              LOG_INT("n", INT64_MIN));
    struct buf line = logged();
    assert_string_equal(line.data + 27, " debug   a\\nb plain=x.y:1 spaced=\"a b\\u001b[0m\\u009b\" empty=\"\" "
                                        "n=-9223372036854775808\n");
    buf_deinit(&line);
}

static void leaves_out_lower_levels(void **state)
{
    (void)state;
    log_init("agent", "error", "json");
    assert_false(log_enabled(LOG_WARNING));
    assert_true(log_enabled(LOG_ERROR));
    log_warning("not to be seen");
    struct buf line = logged();
    assert_int_equal(line.len, 0);
    buf_deinit(&line);
    log_error("to be seen");
    line = logged();
    assert_non_null(strstr(line.data, "\"to be seen\""));
    buf_deinit(&line);
}

static void survives_a_closed_stderr(void **state)
{
    (void)state;
    log_init("agent", "info", "json");
    close(STDERR_FILENO);
    log_info("nobody hears it");
    assert_int_equal(dup2(writing, STDERR_FILENO), STDERR_FILENO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_json_lines, redirect, restore),
        cmocka_unit_test_setup_teardown(escapes_whatever_bytes, redirect, restore),
        cmocka_unit_test_setup_teardown(writes_readable_text, redirect, restore),
        cmocka_unit_test_setup_teardown(leaves_out_lower_levels, redirect, restore),
        cmocka_unit_test_setup_teardown(survives_a_closed_stderr, redirect, restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
