/* jansson, bounded: what comes from peers is parsed here and nowhere else. */
#ifndef PARLEY_JSON_H
#define PARLEY_JSON_H

#include "buf.h"
#include "err.h"

#include <jansson.h>
#include <stdbool.h>

#define JSON_DEPTH_MAX 64

/* Parses one JSON text: any value, U+0000 allowed in strings, duplicate keys refused, depth at most JSON_DEPTH_MAX
 * (checked before jansson recurses). `len` is bounded by the caller. On ERR_INVALID `reason`, where given (lent by the
 * caller, `reason_size` bytes), says what and where. The value is the caller's: json_decref(). */
int json_parse(const char *text, size_t len, char *reason, size_t reason_size, json_t **out) MUST_CHECK;

/* Overwrites the escapes of surrogates that stand alone, of which json_parse() knows nothing to make, with U+FFFD's. */
void json_mend_surrogates(char *text, size_t len);

/* Appends `value` as compact JSON. Numbers are as short as 15 digits make them, where none of them loses by it. */
void json_append(struct buf *out, const json_t *value);
/* The same, and takes the reference: json_append_take(&b, json_pack(…)). `value` NULL is our own bug: asserts. */
void json_append_take(struct buf *out, json_t *value);

/* A string of `len` bytes that are valid UTF-8 and may hold U+0000. Never NULL. */
json_t *json_text(const char *text, size_t len);

/* Member `key` of `object` as a string; NULL where it is missing or no string. `len` may be NULL. */
const char *json_get_text(const json_t *object, const char *key, size_t *len);
int64_t json_get_int(const json_t *object, const char *key, int64_t fallback);
bool json_get_bool(const json_t *object, const char *key, bool fallback);

#endif
