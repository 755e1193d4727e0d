/* Settings: one table a service, read from the environment. The table makes the parser, the checks, `--help` and the
 * documentation.
 *
 *   struct agent_settings { int64_t max_turns; char *model; … };
 *   static const struct setting agent_settings_table[] = {
 *       {"AGENT_MAX_TURNS", SETTING_INTEGER, offsetof(struct agent_settings, max_turns), "256", 1, 100000, "turns",
 *        "turns that one process runs at a time"},
 *       …, {0}};
 *
 * For a row marked `secret`, `X_FILE` may name a file that holds the value (one trailing newline is cut); both set is
 * an error. An empty variable counts as not set. */
#ifndef PARLEY_SETTINGS_H
#define PARLEY_SETTINGS_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum setting_type {
    SETTING_TEXT,    /* char *; min and max bound its bytes. NULL where there is neither value nor default */
    SETTING_CHOICE,  /* char *; `unit` lists what it may be: "auto|json|text" */
    SETTING_INTEGER, /* int64_t; decimal digits */
    SETTING_BOOL     /* bool; true, false, 1, 0, yes, no, on, off */
};

struct setting {
    const char *name; /* of the environment variable; NULL ends the table */
    enum setting_type type;
    size_t offset;        /* of the field in the struct it fills */
    const char *fallback; /* the default, as text; NULL: none */
    int64_t min, max;
    const char *unit; /* "ms", "bytes", "connections", …; "" for none */
    const char *help; /* one sentence, lower case, no full stop */
    bool secret;
};

/* Fills `values` from the environment. On ERR_INVALID `reason` names the variable, what it held (unless secret) and
 * what it takes: "PORT: '99999' is not a whole number from 0 to 65535". Texts belong to `values`. */
int settings_load(const struct setting *table, void *values, char *reason, size_t reason_size) MUST_CHECK;
void settings_deinit(const struct setting *table, void *values);
/* Appends the table for `--help`: name, default, range, unit, help. */
void settings_help(const struct setting *table, struct buf *out);
/* Appends the table's rows as JSON objects in an array, for documentation that is made from the tables. */
void settings_json(const struct setting *table, struct buf *out);

#endif
