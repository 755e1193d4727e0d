#include "json.h"

#include "utf8.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The length of the string that begins at text[0] == '"', with its quotes, or all that there is. */
static size_t string_length(const char *text, size_t len)
{
    for (size_t i = 1; i < len; i++) {
        if (text[i] == '"')
            return i + 1;
        if (text[i] == '\\')
            i++;
    }
    return len;
}

/* Where the text goes deeper than JSON_DEPTH_MAX, or -1. Looks at brackets outside of strings only; whether they match
 * is for the parser to say. */
static ptrdiff_t too_deep_at(const char *text, size_t len)
{
    int depth = 0;
    for (size_t i = 0; i < len; i++) {
        switch (text[i]) {
        case '"':
            i += string_length(text + i, len - i) - 1;
            break;
        case '[':
        case '{':
            if (++depth > JSON_DEPTH_MAX)
                return (ptrdiff_t)i;
            break;
        case ']':
        case '}':
            depth--;
            break;
        default:
            break;
        }
    }
    return -1;
}

static void __attribute__((format(printf, 3, 4))) explain(char *reason, size_t reason_size, const char *format, ...)
{
    if (!reason || reason_size == 0)
        return;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(reason, reason_size, format, args);
    va_end(args);
    /* What was cut off must not leave half a code point behind: the reason goes back to peers as text. */
    if (len >= 0 && (size_t)len >= reason_size)
        reason[utf8_cut(reason, reason_size - 1, reason_size - 1)] = '\0';
}

int json_parse(const char *text, size_t len, char *reason, size_t reason_size, json_t **out)
{
    ptrdiff_t deep = too_deep_at(text, len);
    if (deep >= 0) {
        explain(reason, reason_size, "deeper than %d levels at byte %td", JSON_DEPTH_MAX, deep);
        return ERR_INVALID;
    }
    json_error_t error;
    json_t *value =
        json_loadb(len > 0 ? text : "", len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!value) {
        explain(reason, reason_size, "%s (line %d, column %d)", error.text, error.line, error.column);
        return ERR_INVALID;
    }
    *out = value;
    return ERR_NONE;
}

#define ESCAPE_BYTES 6 /* of \uXXXX */

/* The code unit of an escape, or -1. */
static long code_unit(const char *text, size_t len)
{
    if (len < ESCAPE_BYTES || text[0] != '\\' || text[1] != 'u')
        return -1;
    const char digits[] = {text[2], text[3], text[4], text[5], '\0'};
    return strspn(digits, "0123456789abcdefABCDEF") == 4 ? strtol(digits, NULL, 16) : -1;
}

void json_mend_surrogates(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '\\')
            continue;
        long unit = code_unit(text + i, len - i), next = -1;
        if (unit >= 0xd800 && unit < 0xdc00)
            next = code_unit(text + i + ESCAPE_BYTES, len - i - ESCAPE_BYTES);
        bool pair = next >= 0xdc00 && next < 0xe000;
        if (!pair && unit >= 0xd800 && unit < 0xe000)
            memcpy(text + i, "\\ufffd", ESCAPE_BYTES);
        i += pair ? 2 * ESCAPE_BYTES - 1 : 1;
    }
}

static int append_piece(const char *bytes, size_t len, void *out)
{
    buf_append(out, bytes, len);
    return 0;
}

/* jansson writes all numbers of a text with so many digits: with 17 nothing is lost, but 0.3 becomes
 * 0.29999999999999999. */
#define DIGITS_SHORT 15
#define DIGITS_ALL   17

/* Our own times stand in every token's frame, so they are known by arithmetic: what is nearest to a whole number of
 * 10 us, ten digits and five, needs no more. */
#define TIME_SCALE 1e5 /* clock_wall_seconds() */
#define TIME_END   1e10

static bool is_time(double number)
{
    return number >= 0 && number < TIME_END && (double)(int64_t)(number * TIME_SCALE + 0.5) / TIME_SCALE == number;
}

static bool is_short(double number)
{
    if (is_time(number))
        return true;
    char text[32];
    snprintf(text, sizeof text, "%.*g", DIGITS_SHORT, number);
    return strtod(text, NULL) == number;
}

static bool has_short_numbers(const json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;
    if (json_is_object(value)) {
        json_object_foreach((json_t *)value, key, member)
        {
            if (!has_short_numbers(member))
                return false;
        }
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, member)
        {
            if (!has_short_numbers(member))
                return false;
        }
    }
    return !json_is_real(value) || is_short(json_real_value(value));
}

void json_append(struct buf *out, const json_t *value)
{
    size_t digits = has_short_numbers(value) ? DIGITS_SHORT : DIGITS_ALL;
    /* Fails only on a value that nests itself or has a key that is not UTF-8: our own bug, in every build. */
    if (json_dump_callback(value, append_piece, out, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits)) != 0)
        abort();
}

void json_append_take(struct buf *out, json_t *value)
{
    assert(value);
    json_append(out, value);
    json_decref(value);
}

json_t *json_text(const char *text, size_t len)
{
    json_t *value = json_stringn(len > 0 ? text : "", len);
    if (value)
        return value;
    /* Some peer of ours broke its word. Its text is shown as far as it can be, rather than taking us down. */
    struct buf repaired = {0};
    utf8_append_repaired(&repaired, text, len);
    value = json_stringn(repaired.data, repaired.len);
    buf_deinit(&repaired);
    if (!value)
        abort(); /* out of memory, as in mem.h */
    return value;
}

const char *json_get_text(const json_t *object, const char *key, size_t *len)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value))
        return NULL;
    if (len)
        *len = json_string_length(value);
    return json_string_value(value);
}

int64_t json_get_int(const json_t *object, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : fallback;
}

bool json_get_bool(const json_t *object, const char *key, bool fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_boolean_value(value) : fallback;
}
