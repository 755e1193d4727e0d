#include "settings.h"

#include "json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct values {
    char *name, *format, *key;
    int64_t port, delta;
    bool on;
};

static const struct setting table[] = {
    {"T_NAME", SETTING_TEXT, offsetof(struct values, name), NULL, 2, 8, "", "a name", false},
    {"T_FORMAT", SETTING_CHOICE, offsetof(struct values, format), "auto", 0, 0, "auto|json|text", "a format", false},
    {"T_KEY", SETTING_TEXT, offsetof(struct values, key), NULL, 1, 16, "", "a key", true},
    {"T_PORT", SETTING_INTEGER, offsetof(struct values, port), "8003", 0, 65535, "", "a port", false},
    {"T_DELTA", SETTING_INTEGER, offsetof(struct values, delta), "-5", INT64_MIN, INT64_MAX, "ms", "a delta", false},
    {"T_ON", SETTING_BOOL, offsetof(struct values, on), "no", 0, 0, "", "a switch", false},
    {0}};

static int clear(void **state)
{
    (void)state;
    for (const struct setting *row = table; row->name; row++)
        unsetenv(row->name);
    unsetenv("T_KEY_FILE");
    unsetenv("T_NAME_FILE");
    return 0;
}

static void loads(struct values *values)
{
    char reason[256] = "";
    *values = (struct values){0};
    assert_int_equal(settings_load(table, values, reason, sizeof reason), ERR_NONE);
    assert_string_equal(reason, "");
}

static void refuses(const char *name, const char *value, const char *expected)
{
    struct values values = {0};
    char reason[256] = "";
    setenv(name, value, 1);
    assert_int_equal(settings_load(table, &values, reason, sizeof reason), ERR_INVALID);
    assert_string_equal(reason, expected);
    assert_null(values.name);
    assert_null(values.format);
    unsetenv(name);
}

static void takes_defaults(void **state)
{
    (void)state;
    struct values values;
    setenv("T_PORT", "", 1); /* as if not set */
    loads(&values);
    assert_null(values.name);
    assert_string_equal(values.format, "auto");
    assert_int_equal(values.port, 8003);
    assert_int_equal(values.delta, -5);
    assert_false(values.on);
    settings_deinit(table, &values);
    assert_null(values.format);
}

static void takes_the_environment(void **state)
{
    (void)state;
    struct values values;
    setenv("T_NAME", "会话", 1);
    setenv("T_FORMAT", "text", 1);
    setenv("T_KEY", "s3cret", 1);
    setenv("T_PORT", "65535", 1);
    setenv("T_DELTA", "-9223372036854775808", 1);
    setenv("T_ON", "yes", 1);
    loads(&values);
    assert_string_equal(values.name, "会话");
    assert_string_equal(values.format, "text");
    assert_string_equal(values.key, "s3cret");
    assert_int_equal(values.port, 65535);
    assert_true(values.delta == INT64_MIN);
    assert_true(values.on);
    settings_deinit(table, &values);
}

static void knows_words_for_bool(void **state)
{
    (void)state;
    static const char *const words[] = {"true", "false", "1", "0", "yes", "no", "on", "off"};
    for (size_t i = 0; i < 8; i++) {
        struct values values;
        setenv("T_ON", words[i], 1);
        loads(&values);
        assert_int_equal(values.on, i % 2 == 0);
        settings_deinit(table, &values);
    }
    refuses("T_ON", "maybe", "T_ON: 'maybe' is not one of true, false, 1, 0, yes, no, on, off");
    refuses("T_ON", "TRUE", "T_ON: 'TRUE' is not one of true, false, 1, 0, yes, no, on, off");
}

static void names_a_bad_integer(void **state)
{
    (void)state;
    static const char *const bad[] = {"99999", "65536", "-1", "1.5", "0x10", " 1",
                                      "1 ",    "+1",    "-",  "1e3", "eins", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char expected[128];
        snprintf(expected, sizeof expected, "T_PORT: '%s' is not a whole number from 0 to 65535", bad[i]);
        refuses("T_PORT", bad[i], expected);
    }
}

static void names_a_bad_text(void **state)
{
    (void)state;
    refuses("T_NAME", "x", "T_NAME: 'x' is not UTF-8 text of 2 to 8 bytes");
    refuses("T_NAME", "123456789", "T_NAME: '123456789' is not UTF-8 text of 2 to 8 bytes");
    refuses("T_NAME", "a\nb\xff", "T_NAME: 'a?b\xff' is not UTF-8 text of 2 to 8 bytes");
    refuses("T_FORMAT", "xml", "T_FORMAT: 'xml' is not one of auto|json|text");
    refuses("T_FORMAT", "json|text", "T_FORMAT: 'json|text' is not one of auto|json|text");
    refuses("T_FORMAT", "tex", "T_FORMAT: 'tex' is not one of auto|json|text");
    char many[201], expected[256];
    memset(many, 'x', 200);
    many[200] = '\0';
    snprintf(expected, sizeof expected, "T_NAME: '%.64s...' is not UTF-8 text of 2 to 8 bytes", many);
    refuses("T_NAME", many, expected);
}

static void never_shows_a_secret(void **state)
{
    (void)state;
    refuses("T_KEY", "hunter2hunter2hunter2", "T_KEY: its value (a secret) is not UTF-8 text of 1 to 16 bytes");
}

static void write_secret(char path[64], const void *bytes, size_t len)
{
    strcpy(path, "/tmp/settings_test_XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    close(fd);
    setenv("T_KEY_FILE", path, 1);
}

static void reads_secrets_from_files(void **state)
{
    (void)state;
    static const struct {
        const char *content, *value;
    } cases[] = {{"abc", "abc"}, {"abc\n", "abc"}, {"abc\n\n", "abc\n"}, {"\n", NULL}, {"", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[64];
        struct values values;
        write_secret(path, cases[i].content, strlen(cases[i].content));
        loads(&values);
        unlink(path);
        if (cases[i].value)
            assert_string_equal(values.key, cases[i].value);
        else
            assert_null(values.key);
        settings_deinit(table, &values);
    }
}

static void names_a_bad_secret_file(void **state)
{
    (void)state;
    refuses("T_KEY_FILE", "/nonexistent/key", "T_KEY_FILE: cannot read '/nonexistent/key': No such file or directory");
    refuses("T_KEY_FILE", "/tmp", "T_KEY_FILE: cannot read '/tmp': Is a directory");
    refuses("T_KEY_FILE", "/dev/zero", "T_KEY_FILE: the file holds no text of at most 65536 bytes");
    char path[64];
    write_secret(path, "a\0b", 3);
    refuses("T_KEY_FILE", path, "T_KEY_FILE: the file holds no text of at most 65536 bytes");
    unlink(path);
    setenv("T_KEY", "x", 1);
    refuses("T_KEY_FILE", "/dev/null", "T_KEY: it and T_KEY_FILE are both set; set one of them");
}

static void reads_files_for_secrets_only(void **state)
{
    (void)state;
    struct values values;
    setenv("T_NAME_FILE", "/nonexistent", 1);
    loads(&values);
    settings_deinit(table, &values);
}

static void prints_the_table(void **state)
{
    (void)state;
    struct buf out = {0};
    settings_help(table, &out);
    assert_non_null(strstr(out.data, "  T_NAME    a name\n            text of 2 to 8 bytes; not set by default\n"));
    assert_non_null(strstr(out.data, "(or T_KEY_FILE: a file that holds it)"));
    assert_non_null(strstr(out.data, "0 to 65535; default 8003\n"));
    buf_reset(&out);
    settings_json(table, &out);
    json_t *rows = NULL;
    assert_int_equal(json_parse(out.data, out.len, NULL, 0, &rows), ERR_NONE);
    assert_int_equal(json_array_size(rows), 6);
    json_t *key = json_array_get(rows, 2), *port = json_array_get(rows, 3);
    assert_true(json_get_bool(key, "secret", false));
    assert_true(json_is_null(json_object_get(key, "default")));
    assert_string_equal(json_get_text(port, "name", NULL), "T_PORT");
    assert_string_equal(json_get_text(port, "type", NULL), "integer");
    assert_string_equal(json_get_text(port, "default", NULL), "8003");
    assert_int_equal(json_get_int(port, "max", 0), 65535);
    json_decref(rows);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(takes_defaults, clear),
        cmocka_unit_test_setup(takes_the_environment, clear),
        cmocka_unit_test_setup(knows_words_for_bool, clear),
        cmocka_unit_test_setup(names_a_bad_integer, clear),
        cmocka_unit_test_setup(names_a_bad_text, clear),
        cmocka_unit_test_setup(never_shows_a_secret, clear),
        cmocka_unit_test_setup(reads_secrets_from_files, clear),
        cmocka_unit_test_setup(names_a_bad_secret_file, clear),
        cmocka_unit_test_setup(reads_files_for_secrets_only, clear),
        cmocka_unit_test_setup(prints_the_table, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
