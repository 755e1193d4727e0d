#include "settings.h"

#include "json.h"
#include "mem.h"
#include "utf8.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOWN_BYTES 64    /* of a bad value in a message */
#define NAME_SIZE   128   /* of a variable */
#define FILE_BYTES  65536 /* a secret is never larger */

/* Where a row's value came from, and what went wrong with it. */
struct reading {
    const struct setting *row;
    char *text; /* NULL: neither value nor default */
    char *reason;
    size_t reason_size;
};

static int __attribute__((format(printf, 2, 3))) refuse(struct reading *reading, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(reading->reason, reading->reason_size, format, args);
    va_end(args);
    return ERR_INVALID;
}

/* ---- where values come from */

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* Up to FILE_BYTES + 1 bytes, so that the caller can tell that it was too large. */
static int read_all(int fd, struct buf *out)
{
    while (out->len <= FILE_BYTES) {
        char piece[4096];
        ssize_t got = read(fd, piece, sizeof piece);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return (int)got;
        buf_append(out, piece, (size_t)got);
    }
    return 0;
}

static int read_file(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int result = read_all(fd, out);
    int saved = errno;
    close(fd);
    errno = saved;
    return result;
}

static int take_secret(struct reading *reading, const char *variable, struct buf *content)
{
    if (content->len > FILE_BYTES || (content->len > 0 && memchr(content->data, '\0', content->len)))
        return refuse(reading, "%s: the file holds no text of at most %d bytes", variable, FILE_BYTES);
    if (content->len > 0 && content->data[content->len - 1] == '\n')
        content->data[--content->len] = '\0';
    if (content->len > 0)
        reading->text = mem_strdup(content->data);
    return ERR_NONE;
}

static int read_secret_file(struct reading *reading, const char *variable, const char *path)
{
    struct buf content = {0};
    int err = read_file(path, &content) != 0
                  ? refuse(reading, "%s: cannot read '%s': %s", variable, path, strerror(errno))
                  : take_secret(reading, variable, &content);
    buf_deinit(&content);
    return err;
}

static int find_value(struct reading *reading)
{
    const struct setting *row = reading->row;
    const char *value = environment(row->name);
    char variable[NAME_SIZE];
    snprintf(variable, sizeof variable, "%s_FILE", row->name);
    const char *path = row->secret ? environment(variable) : NULL;
    if (value && path)
        return refuse(reading, "%s: it and %s are both set; set one of them", row->name, variable);
    if (path) {
        int err = read_secret_file(reading, variable, path);
        if (err)
            return err;
    } else if (value) {
        reading->text = mem_strdup(value);
    }
    if (!reading->text && row->fallback)
        reading->text = mem_strdup(row->fallback);
    return ERR_NONE;
}

/* ---- what they may be */

static bool parse_integer(const char *text, int64_t *out)
{
    const char *digits = *text == '-' ? text + 1 : text;
    if (*digits == '\0' || strspn(digits, "0123456789") != strlen(digits))
        return false;
    errno = 0;
    int64_t value = strtoll(text, NULL, 10);
    if (errno == ERANGE)
        return false;
    *out = value;
    return true;
}

static bool parse_bool(const char *text, bool *out)
{
    static const char *const words[] = {"false", "true", "0", "1", "no", "yes", "off", "on"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i % 2 == 1;
            return true;
        }
    }
    return false;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t len = strlen(text);
    for (const char *at = choices;; at++) {
        size_t word = strcspn(at, "|");
        if (word == len && memcmp(at, text, len) == 0)
            return true;
        at += word;
        if (*at == '\0')
            return false;
    }
}

static bool is_text(const struct setting *row, const char *text)
{
    int64_t len = (int64_t)strlen(text);
    return len >= row->min && len <= row->max && utf8_valid(text, (size_t)len);
}

static bool is_in_range(const struct setting *row, const char *text)
{
    int64_t number;
    return parse_integer(text, &number) && number >= row->min && number <= row->max;
}

static bool is_allowed(const struct setting *row, const char *text)
{
    bool truth;
    switch (row->type) {
    case SETTING_TEXT:
        return is_text(row, text);
    case SETTING_CHOICE:
        return is_choice(row->unit, text);
    case SETTING_INTEGER:
        return is_in_range(row, text);
    case SETTING_BOOL:
        return parse_bool(text, &truth);
    }
    return false;
}

/* "a whole number from 0 to 65535" */
static void describe(const struct setting *row, struct buf *out)
{
    switch (row->type) {
    case SETTING_TEXT:
        buf_printf(out, "UTF-8 text of %" PRId64 " to %" PRId64 " bytes", row->min, row->max);
        break;
    case SETTING_CHOICE:
        buf_printf(out, "one of %s", row->unit);
        break;
    case SETTING_INTEGER:
        buf_printf(out, "a whole number from %" PRId64 " to %" PRId64, row->min, row->max);
        break;
    case SETTING_BOOL:
        buf_append_text(out, "one of true, false, 1, 0, yes, no, on, off");
        break;
    }
}

/* The value as it may stand in one line of a message. */
static void append_shown(struct buf *out, const struct setting *row, const char *text)
{
    if (row->secret) {
        buf_append_text(out, "its value (a secret)");
        return;
    }
    size_t shown = utf8_cut(text, strlen(text), SHOWN_BYTES);
    buf_append_char(out, '\'');
    for (size_t i = 0; i < shown; i++)
        buf_append_char(out, (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i]);
    buf_append_text(out, text[shown] ? "...'" : "'");
}

static int check_value(struct reading *reading)
{
    if (!reading->text || is_allowed(reading->row, reading->text))
        return ERR_NONE;
    struct buf why = {0};
    append_shown(&why, reading->row, reading->text);
    buf_append_text(&why, " is not ");
    describe(reading->row, &why);
    int err = refuse(reading, "%s: %s", reading->row->name, why.data);
    buf_deinit(&why);
    return err;
}

/* ---- where they go */

static char **text_field(const struct setting *row, void *values)
{
    return (char **)(void *)((char *)values + row->offset);
}

static bool holds_text(const struct setting *row)
{
    return row->type == SETTING_TEXT || row->type == SETTING_CHOICE;
}

/* Takes the text; it has been checked. */
static void store_value(struct reading *reading, void *values)
{
    const struct setting *row = reading->row;
    void *field = (char *)values + row->offset;
    if (holds_text(row)) {
        *text_field(row, values) = reading->text;
        reading->text = NULL;
    } else if (row->type == SETTING_BOOL) {
        *(bool *)field = false;
        if (reading->text)
            (void)parse_bool(reading->text, field);
    } else {
        *(int64_t *)field = 0;
        if (reading->text)
            (void)parse_integer(reading->text, field);
    }
}

static void release(const struct setting *table, const struct setting *end, void *values)
{
    for (const struct setting *row = table; row != end; row++) {
        if (!holds_text(row))
            continue;
        free(*text_field(row, values));
        *text_field(row, values) = NULL;
    }
}

int settings_load(const struct setting *table, void *values, char *reason, size_t reason_size)
{
    for (const struct setting *row = table; row->name; row++) {
        struct reading reading = {.row = row, .reason = reason, .reason_size = reason_size};
        int err = find_value(&reading);
        if (!err)
            err = check_value(&reading);
        if (!err)
            store_value(&reading, values);
        free(reading.text);
        if (err) {
            release(table, row, values);
            return err;
        }
    }
    return ERR_NONE;
}

static const struct setting *table_end(const struct setting *table)
{
    while (table->name)
        table++;
    return table;
}

void settings_deinit(const struct setting *table, void *values)
{
    release(table, table_end(table), values);
}
