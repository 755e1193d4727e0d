#include "config_place.h"

#include <stdbool.h>
#include <string.h>

void config_place_append(struct buf *out, const struct config_place *place)
{
    if (!place->parent)
        return;
    config_place_append(out, place->parent);
    if (!place->key)
        buf_printf(out, "[%zu]", place->index);
    else
        buf_printf(out, "%s%s", place->parent->parent ? "." : "", place->key);
}

/* ---- Walking through text that has been parsed: nothing in it can be wrong */

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

/* From a string's first quote to what follows its last. */
static const char *skip_string(const char *at)
{
    for (at++; *at != '"'; at++) {
        if (*at == '\\')
            at++;
    }
    return at + 1;
}

static const char *skip_value(const char *at)
{
    int depth = 0;
    do {
        if (*at == '"') {
            at = skip_string(at);
            continue;
        }
        depth += *at == '{' || *at == '[';
        depth -= *at == '}' || *at == ']';
        at++;
    } while (depth > 0 || !strchr(",]} \t\r\n", *at));
    return at;
}

/* What follows a value and the comma after it. */
static const char *next_item(const char *at)
{
    at = skip_space(skip_value(at));
    return *at == ',' ? skip_space(at + 1) : at;
}

static const char *find_member(const char *object, const char *key)
{
    const size_t len = strlen(key);
    const char *at = skip_space(object + 1);
    while (*at == '"') {
        const char *name = at + 1, *end = skip_string(at);
        bool found = (size_t)(end - 1 - name) == len && memcmp(name, key, len) == 0;
        at = skip_space(skip_space(end) + 1); /* past the colon */
        if (found)
            return at;
        at = next_item(at);
    }
    return NULL;
}

static const char *find_element(const char *array, size_t index)
{
    const char *at = skip_space(array + 1);
    for (; *at != ']' && index > 0; index--)
        at = next_item(at);
    return *at == ']' ? NULL : at;
}

static const char *find(const char *text, const struct config_place *place)
{
    if (!place->parent)
        return skip_space(text);
    const char *outer = find(text, place->parent);
    const char *found = NULL;
    if (place->key && *outer == '{')
        found = find_member(outer, place->key);
    else if (!place->key && *outer == '[')
        found = find_element(outer, place->index);
    return found ? found : outer;
}

size_t config_place_line(const char *text, const struct config_place *place)
{
    size_t line = 1;
    for (const char *end = find(text, place); text < end; text++)
        line += *text == '\n';
    return line;
}
