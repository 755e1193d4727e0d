#include "schema.h"

#include "json.h"
#include "utf8.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define PATH_SIZE 128

struct check {
    char *reason;
    size_t reason_size;
    char path[PATH_SIZE]; /* of the value at hand: "points[2].x"; empty at the top; may be cut */
};

static int check_value(struct check *check, const json_t *schema, const json_t *value);

/* What was cut must not leave half a code point behind. */
static void mend(char *text)
{
    text[utf8_cut(text, strlen(text), strlen(text))] = '\0';
}

static int __attribute__((format(printf, 2, 3))) fail(const struct check *check, const char *format, ...)
{
    int len = check->path[0] ? snprintf(check->reason, check->reason_size, "'%s' ", check->path)
                             : snprintf(check->reason, check->reason_size, "the arguments ");
    if (len < 0 || (size_t)len >= check->reason_size)
        return ERR_INVALID;
    va_list args;
    va_start(args, format);
    vsnprintf(check->reason + len, check->reason_size - (size_t)len, format, args);
    va_end(args);
    return ERR_INVALID;
}

static bool has_type(const json_t *value, const char *type)
{
    if (strcmp(type, "integer") == 0)
        return json_is_integer(value) ||
               (json_is_real(value) && json_real_value(value) == trunc(json_real_value(value)));
    return (strcmp(type, "object") == 0 && json_is_object(value)) ||
           (strcmp(type, "array") == 0 && json_is_array(value)) ||
           (strcmp(type, "string") == 0 && json_is_string(value)) ||
           (strcmp(type, "number") == 0 && json_is_number(value)) ||
           (strcmp(type, "boolean") == 0 && json_is_boolean(value)) ||
           (strcmp(type, "null") == 0 && json_is_null(value));
}

static int check_type(const struct check *check, const json_t *type, const json_t *value)
{
    if (json_is_string(type))
        return has_type(value, json_string_value(type)) ? ERR_NONE
                                                        : fail(check, "must be of type %s", json_string_value(type));
    if (!json_is_array(type))
        return ERR_NONE;
    for (size_t i = 0; i < json_array_size(type); i++) {
        const char *name = json_string_value(json_array_get(type, i));
        if (name && has_type(value, name))
            return ERR_NONE;
    }
    return fail(check, "must be of another type");
}

static int check_enum(const struct check *check, const json_t *choices, const json_t *value)
{
    if (!json_is_array(choices))
        return ERR_NONE;
    for (size_t i = 0; i < json_array_size(choices); i++)
        if (json_equal(json_array_get(choices, i), value))
            return ERR_NONE;
    return fail(check, "must be one of the values that the schema lists");
}

static int check_range(const struct check *check, const json_t *schema, const json_t *value)
{
    const json_t *min = json_object_get(schema, "minimum"), *max = json_object_get(schema, "maximum");
    if (json_is_number(min) && json_number_value(value) < json_number_value(min))
        return fail(check, "must be at least %.15g", json_number_value(min));
    if (json_is_number(max) && json_number_value(value) > json_number_value(max))
        return fail(check, "must be at most %.15g", json_number_value(max));
    return ERR_NONE;
}

/* Lengths are counted in code points. */
static int check_length(const struct check *check, const json_t *schema, const json_t *value)
{
    json_int_t length = 0;
    for (size_t i = 0; i < json_string_length(value); i++)
        length += (json_string_value(value)[i] & 0xC0) != 0x80;
    json_int_t min = json_get_int(schema, "minLength", 0), max = json_get_int(schema, "maxLength", INT64_MAX);
    if (length < min)
        return fail(check, "must have at least %" JSON_INTEGER_FORMAT " characters", min);
    if (length > max)
        return fail(check, "must have at most %" JSON_INTEGER_FORMAT " characters", max);
    return ERR_NONE;
}

static int check_items(struct check *check, const json_t *schema, const json_t *value)
{
    json_int_t max = json_get_int(schema, "maxItems", INT64_MAX);
    if ((json_int_t)json_array_size(value) > max)
        return fail(check, "must have at most %" JSON_INTEGER_FORMAT " items", max);
    const json_t *items = json_object_get(schema, "items");
    if (!json_is_object(items))
        return ERR_NONE;
    size_t here = strlen(check->path);
    for (size_t i = 0; i < json_array_size(value); i++) {
        snprintf(check->path + here, PATH_SIZE - here, "[%zu]", i);
        int err = check_value(check, items, json_array_get(value, i));
        if (err)
            return err;
    }
    check->path[here] = '\0';
    return ERR_NONE;
}

static int check_member(struct check *check, const json_t *schema, const char *key, const json_t *value)
{
    const json_t *property = json_object_get(json_object_get(schema, "properties"), key);
    size_t here = strlen(check->path);
    snprintf(check->path + here, PATH_SIZE - here, "%s%s", here ? "." : "", key);
    mend(check->path);
    int err = ERR_NONE;
    if (property)
        err = check_value(check, property, value);
    else if (json_is_false(json_object_get(schema, "additionalProperties")))
        err = fail(check, "is not known here");
    if (!err)
        check->path[here] = '\0';
    return err;
}

static int check_object(struct check *check, const json_t *schema, const json_t *value)
{
    const json_t *required = json_object_get(schema, "required");
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *key = json_string_value(json_array_get(required, i));
        if (key && !json_object_get(value, key))
            return fail(check, "must have '%s'", key);
    }
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member)
    {
        int err = check_member(check, schema, key, member);
        if (err)
            return err;
    }
    return ERR_NONE;
}

/* As deep as the schema goes, which is bounded by the JSON parser's depth. */
static int check_value(struct check *check, const json_t *schema, const json_t *value)
{
    int err = check_type(check, json_object_get(schema, "type"), value);
    if (!err)
        err = check_enum(check, json_object_get(schema, "enum"), value);
    if (err)
        return err;
    if (json_is_object(value))
        return check_object(check, schema, value);
    if (json_is_array(value))
        return check_items(check, schema, value);
    if (json_is_string(value))
        return check_length(check, schema, value);
    if (json_is_number(value))
        return check_range(check, schema, value);
    return ERR_NONE;
}

int schema_check(const json_t *schema, const json_t *value, char *reason, size_t reason_size)
{
    struct check check = {.reason = reason, .reason_size = reason_size};
    int err = check_value(&check, schema, value);
    if (err)
        mend(reason);
    return err;
}
