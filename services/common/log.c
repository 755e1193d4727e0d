#include "log.h"

#include "buf.h"
#include "clock.h"
#include "iso_time.h"
#include "utf8.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static const char *const level_names[] = {"debug", "info", "warning", "error"};

/* Set once, before there are other threads; atomic only so that a late line of a library's thread is no race. */
static _Atomic(const char *) service_name;
static atomic_int lowest = LOG_INFO;
static atomic_bool as_json;

void log_init(const char *service, const char *level, const char *format)
{
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        if (strcmp(level, level_names[i]) == 0)
            atomic_store(&lowest, i);
    }
    bool automatic = strcmp(format, "auto") == 0;
    atomic_store(&as_json, automatic ? !isatty(STDERR_FILENO) : strcmp(format, "json") == 0);
    atomic_store(&service_name, service);
}

bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&lowest, memory_order_relaxed);
}

/* Control characters, C1 too: a terminal obeys them. */
static bool is_control(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0);
}

/* One code point inside a JSON string (RFC 8259, section 7). Returns how many bytes it took. */
static size_t append_escaped(struct buf *line, const char *text, size_t len)
{
    uint32_t point;
    size_t step = utf8_next(text, len, &point);
    if (step == 0) {
        buf_append_text(line, "\xef\xbf\xbd"); /* U+FFFD for a byte that is not UTF-8 */
        return 1;
    }
    if (point == '"' || point == '\\')
        buf_append_char(line, '\\');
    if (point == '\n')
        buf_append_text(line, "\\n");
    else if (is_control(point))
        buf_printf(line, "\\u%04" PRIx32, point);
    else
        buf_append(line, text, step);
    return step;
}

static void append_quoted(struct buf *line, const char *text)
{
    size_t len = strlen(text);
    buf_append_char(line, '"');
    for (size_t at = 0; at < len;)
        at += append_escaped(line, text + at, len - at);
    buf_append_char(line, '"');
}

/* Quoted only where a reader could otherwise not tell where it ends, or what it does to the terminal. */
static void append_readable(struct buf *line, const char *text)
{
    bool plain = *text != '\0' && utf8_valid(text, strlen(text));
    for (const char *c = text; plain && *c; c++)
        plain = (unsigned char)*c > ' ' && (unsigned char)*c < 0x7f && !strchr("\"\\=", *c);
    if (plain)
        buf_append_text(line, text);
    else
        append_quoted(line, text);
}

static void append_json_member(struct buf *line, const char *key, const char *text)
{
    buf_append_char(line, line->len > 1 ? ',' : '{');
    append_quoted(line, key);
    buf_append_char(line, ':');
    append_quoted(line, text);
}

static void append_json_field(struct buf *line, const struct log_field *field)
{
    if (field->is_text) {
        append_json_member(line, field->key, field->text);
        return;
    }
    buf_append_char(line, ',');
    append_quoted(line, field->key);
    buf_printf(line, ":%" PRId64, field->number);
}

static void append_text_field(struct buf *line, const struct log_field *field)
{
    buf_printf(line, " %s=", field->key);
    if (field->is_text)
        append_readable(line, field->text);
    else
        buf_printf(line, "%" PRId64, field->number);
}

/* The escapes of a message keep its line one line; its quotes are left out. */
static void append_message(struct buf *line, const char *message)
{
    size_t len = strlen(message);
    for (size_t at = 0; at < len;)
        at += append_escaped(line, message + at, len - at);
}

static void append_head(struct buf *line, bool json, enum log_level level, const char *message)
{
    char time[ISO_TIME_SIZE + 1];
    iso_time(clock_wall_seconds(), time);
    strcat(time, "Z");
    const char *service = atomic_load(&service_name);
    if (!json) {
        buf_printf(line, "%s %-7s ", time, level_names[level]);
        append_message(line, message);
        return;
    }
    append_json_member(line, "time", time);
    append_json_member(line, "level", level_names[level]);
    append_json_member(line, "service", service ? service : "");
    append_json_member(line, "message", message);
}

void log_write(enum log_level level, const char *message, const struct log_field *fields, size_t count)
{
    bool json = atomic_load_explicit(&as_json, memory_order_relaxed);
    struct buf line = {0};
    append_head(&line, json, level, message);
    for (size_t i = 0; i < count; i++) {
        if (fields[i].is_text && !fields[i].text)
            continue;
        if (json)
            append_json_field(&line, &fields[i]);
        else
            append_text_field(&line, &fields[i]);
    }
    buf_append_text(&line, json ? "}\n" : "\n");
    ssize_t ignored = write(STDERR_FILENO, line.data, line.len); /* a log that nobody takes must not stop the service */
    (void)ignored;
    buf_deinit(&line);
}
