#include "config_reader.h"

#include "id.h"
#include "utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES 256
#define URL_MAX_BYTES  2048
#define TEXT_MAX_BYTES 65536
#define ELEMENTS_MAX   1000

void config_wrong(struct config_reader *reader, const struct config_place *place, const char *format, ...)
{
    if (reader->wrong.len > 0)
        return;
    char what[512];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    config_place_append(&reader->wrong, place);
    buf_printf(&reader->wrong, "%s%s, line %zu", place->parent ? ": " : "", what,
               config_place_line(reader->text, place));
}

/* ---- Texts */

static bool is_line(const char *text, size_t len)
{
    return len >= 1 && len <= LINE_MAX_BYTES && utf8_is_name(text, len);
}

static bool is_url(const char *text, size_t len)
{
    const char *host = strncmp(text, "http://", 7) == 0 ? text + 7 : strncmp(text, "https://", 8) == 0 ? text + 8 : "";
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] <= 0x20 || text[i] == 0x7f)
            return false;
    }
    return *host && len <= URL_MAX_BYTES;
}

static bool is_text(const char *text, size_t len)
{
    return strlen(text) == len && len >= 1 && len <= TEXT_MAX_BYTES;
}

static const struct {
    bool (*fits)(const char *text, size_t len);
    const char *what;
} texts[] = {
    [CONFIG_TOKEN] = {id_is_token, "1 to 64 letters, digits, _ and -"},
    [CONFIG_LINE] = {is_line, "a text of 1 to 256 bytes without control characters"},
    [CONFIG_URL] = {is_url, "an address that begins with http:// or https://"},
    [CONFIG_TEXT] = {is_text, "a text of 1 to 65536 bytes without U+0000"},
};

static const char *read_text(struct config_reader *reader, const struct config_place *place, const json_t *value,
                             enum config_kind kind)
{
    const char *text = json_string_value(value);
    if (text && texts[kind].fits(text, json_string_length(value)))
        return text;
    config_wrong(reader, place, "must be %s", texts[kind].what);
    return NULL;
}

/* ---- Values of any kind */

static void check_tokens(struct config_reader *reader, const struct config_place *place, const json_t *array)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const struct config_place element = {.parent = place, .index = i};
        read_text(reader, &element, json_array_get(array, i), CONFIG_TOKEN);
    }
}

static const json_t *read_composite(struct config_reader *reader, const struct config_place *place, const json_t *value,
                                    enum config_kind kind)
{
    if (kind == CONFIG_OBJECT) {
        if (!json_is_object(value))
            config_wrong(reader, place, "must be an object");
    } else if (!json_is_array(value) || json_array_size(value) > ELEMENTS_MAX) {
        config_wrong(reader, place, "must be an array of at most %d elements", ELEMENTS_MAX);
    } else if (kind == CONFIG_TOKENS) {
        check_tokens(reader, place, value);
    }
    return value;
}

static void read_field(struct config_reader *reader, const struct config_place *place, const json_t *value,
                       const struct config_field *field, void *out)
{
    void *slot = (char *)out + field->offset;
    if (field->kind <= CONFIG_TEXT)
        *(const char **)slot = read_text(reader, place, value, field->kind);
    else
        *(const json_t **)slot = read_composite(reader, place, value, field->kind);
}

/* ---- Objects */

static bool is_known(const struct config_field *fields, const char *key)
{
    while (fields->key && strcmp(fields->key, key) != 0)
        fields++;
    return fields->key != NULL;
}

void config_read_object(struct config_reader *reader, const struct config_place *place, const json_t *value,
                        const struct config_field *fields, void *out)
{
    if (!json_is_object(value)) {
        config_wrong(reader, place, "must be an object");
        return;
    }
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member)
    {
        const struct config_place at = {.parent = place, .key = key};
        if (!is_known(fields, key))
            config_wrong(reader, &at, "is not known here");
    }
    for (; fields->key; fields++) {
        const struct config_place at = {.parent = place, .key = fields->key};
        member = json_object_get(value, fields->key);
        if (member)
            read_field(reader, &at, member, fields, out);
        else if (fields->required)
            config_wrong(reader, &at, "is missing");
    }
}
