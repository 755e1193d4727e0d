/* The settings table for people and for documentation. */
#include "json.h"
#include "settings.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

static int longest_name(const struct setting *table)
{
    size_t longest = 0;
    for (const struct setting *row = table; row->name; row++)
        longest = strlen(row->name) > longest ? strlen(row->name) : longest;
    return (int)longest;
}

static void append_takes(const struct setting *row, struct buf *out)
{
    switch (row->type) {
    case SETTING_TEXT:
        buf_printf(out, "text of %" PRId64 " to %" PRId64 " bytes", row->min, row->max);
        break;
    case SETTING_CHOICE:
        buf_append_text(out, row->unit);
        break;
    case SETTING_INTEGER:
        buf_printf(out, "%" PRId64 " to %" PRId64 "%s%s", row->min, row->max, *row->unit ? " " : "", row->unit);
        break;
    case SETTING_BOOL:
        buf_append_text(out, "true|false");
        break;
    }
}

void settings_help(const struct setting *table, struct buf *out)
{
    int width = longest_name(table);
    for (const struct setting *row = table; row->name; row++) {
        buf_printf(out, "  %-*s  %s", width, row->name, row->help);
        if (row->secret)
            buf_printf(out, " (or %s_FILE: a file that holds it)", row->name);
        buf_printf(out, "\n  %*s  ", width, "");
        append_takes(row, out);
        if (row->fallback)
            buf_printf(out, "; default %s\n", row->fallback);
        else
            buf_append_text(out, "; not set by default\n");
    }
}

static const char *type_name(enum setting_type type)
{
    static const char *const names[] = {"text", "choice", "integer", "boolean"};
    assert((size_t)type < sizeof names / sizeof *names);
    return names[type];
}

static json_t *row_json(const struct setting *row)
{
    json_t *object = json_pack("{s:s, s:s, s:s?, s:s, s:s, s:b}", "name", row->name, "type", type_name(row->type),
                               "default", row->fallback, "unit", row->unit, "help", row->help, "secret", row->secret);
    if (row->type == SETTING_TEXT || row->type == SETTING_INTEGER) {
        json_object_set_new(object, "min", json_integer(row->min));
        json_object_set_new(object, "max", json_integer(row->max));
    }
    return object;
}

void settings_json(const struct setting *table, struct buf *out)
{
    json_t *rows = json_array();
    for (const struct setting *row = table; row->name; row++)
        json_array_append_new(rows, row_json(row));
    json_append_take(out, rows);
}
