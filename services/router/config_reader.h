/* Reading a JSON configuration by tables of fields. The first thing found wrong is kept, with its place; after that
 * everything reads as missing, so that nobody has to check each step. Pure. */
#ifndef PARLEY_CONFIG_READER_H
#define PARLEY_CONFIG_READER_H

#include "config_place.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct config_reader {
    const char *text; /* that the JSON was parsed from, ending with a zero byte; lent */
    struct buf wrong; /* "pipelines[1].uuid: is missing, line 12"; empty: nothing */
};

enum config_kind {
    CONFIG_TOKEN,  /* const char *: [A-Za-z0-9_-]{1,64} */
    CONFIG_LINE,   /* const char *: 1 to 256 bytes without control characters */
    CONFIG_URL,    /* const char *: http:// or https://, up to 2048 bytes */
    CONFIG_TEXT,   /* const char *: 1 to 65536 bytes */
    CONFIG_TOKENS, /* const json_t *: an array of tokens */
    CONFIG_OBJECT, /* const json_t * */
    CONFIG_ARRAY   /* const json_t *: at most 1000 elements */
};

/* A row; a NULL key ends the table. */
struct config_field {
    const char *key;
    enum config_kind kind;
    bool required;
    size_t offset; /* of the field in the struct to fill; what is missing stays as it was */
};

void config_wrong(struct config_reader *reader, const struct config_place *place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Checks that `value` is an object with these members and no others, and fills `out`, which refers to the JSON. */
void config_read_object(struct config_reader *reader, const struct config_place *place, const json_t *value,
                        const struct config_field *fields, void *out);

#endif
