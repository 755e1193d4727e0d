#include "langbot_chain.h"

#include "json.h"

#include <inttypes.h>
#include <string.h>

enum field_kind { FIELD_TEXT, FIELD_ID /* text or integer */, FIELD_NUMBER, FIELD_CHAIN };

struct field {
    const char *name;
    enum field_kind kind;
    bool required;
};

#define FIELDS_MAX 4

struct component {
    const char *type;
    const char *label;           /* how it reads, and then… */
    const char *shown, *or_else; /* …the first of these fields that has something to show. NULL: none */
    struct field fields[FIELDS_MAX];
};

/* clang-format off */
static const struct component components[] = {
    {"Plain", "", "text", NULL, {{"text", FIELD_TEXT, true}}},
    {"At", "@", "display", "target", {{"target", FIELD_ID, true}, {"display", FIELD_TEXT, false}}},
    {"AtAll", "@All", NULL, NULL, {{0}}},
    {"Image", "[Image]", NULL, NULL,
     {{"url", FIELD_TEXT, false}, {"path", FIELD_TEXT, false}, {"base64", FIELD_TEXT, false}}},
    {"Voice", "[Voice]", NULL, NULL,
     {{"url", FIELD_TEXT, false}, {"path", FIELD_TEXT, false}, {"base64", FIELD_TEXT, false}}},
    {"File", "[File]", "name", NULL,
     {{"name", FIELD_TEXT, false}, {"size", FIELD_NUMBER, false}, {"url", FIELD_TEXT, false},
      {"path", FIELD_TEXT, false}}},
    {"Quote", "", NULL, NULL, {{"origin", FIELD_CHAIN, true}}},
    {"Source", "", NULL, NULL, {{0}}},
    {"Forward", "[Chat history]", NULL, NULL, {{0}}},
    {"Unknown", "Unknown Message: ", "text", NULL, {{"text", FIELD_TEXT, true}}},
};
/* clang-format on */
static const struct component of_other_type = {"", "Unknown Message: ", "type", NULL, {{0}}};

static const struct component *find_component(const json_t *value)
{
    size_t len = 0;
    const char *type = json_get_text(value, "type", &len);
    for (size_t i = 0; i < sizeof components / sizeof *components; i++)
        if (strlen(components[i].type) == len && memcmp(components[i].type, type, len) == 0)
            return &components[i];
    return &of_other_type;
}

/* ---- Validity */

static bool is_of_kind(const json_t *value, enum field_kind kind)
{
    switch (kind) {
    case FIELD_TEXT:
        return json_is_string(value);
    case FIELD_ID:
        return json_is_string(value) || json_is_integer(value);
    case FIELD_NUMBER:
        return json_is_number(value);
    case FIELD_CHAIN:
        return langbot_chain_valid(value); /* as deep as the parser allows */
    }
    return false;
}

static bool component_valid(const json_t *value)
{
    if (!json_get_text(value, "type", NULL))
        return false;
    const struct component *component = find_component(value);
    for (size_t i = 0; i < FIELDS_MAX && component->fields[i].name; i++) {
        const struct field *field = &component->fields[i];
        const json_t *member = json_object_get(value, field->name);
        bool absent = !member || json_is_null(member);
        if (absent ? field->required : !is_of_kind(member, field->kind))
            return false;
    }
    return true;
}

bool langbot_chain_valid(const json_t *chain)
{
    if (!json_is_array(chain))
        return false;
    for (size_t i = 0; i < json_array_size(chain); i++)
        if (!component_valid(json_array_get(chain, i)))
            return false;
    return true;
}

/* ---- Reading */

/* False: it has nothing to show. */
static bool append_field(const json_t *component, const char *name, struct buf *out)
{
    const json_t *value = name ? json_object_get(component, name) : NULL;
    if (json_is_integer(value))
        buf_printf(out, "%" PRId64, (int64_t)json_integer_value(value));
    else if (json_string_length(value) > 0)
        buf_append(out, json_string_value(value), json_string_length(value));
    else
        return false;
    return true;
}

static void append_component(const json_t *value, struct buf *out)
{
    const struct component *component = find_component(value);
    buf_append_text(out, component->label);
    if (!append_field(value, component->shown, out))
        append_field(value, component->or_else, out);
}

void langbot_chain_append_text(const json_t *chain, struct buf *out)
{
    for (size_t i = 0; i < json_array_size(chain); i++)
        append_component(json_array_get(chain, i), out);
}

bool langbot_chain_mentions(const json_t *chain, const char *target)
{
    for (size_t i = 0; i < json_array_size(chain); i++) {
        const json_t *component = json_array_get(chain, i);
        size_t len = 0;
        const char *mentioned = json_get_text(component, "target", &len);
        bool is_at = strcmp(find_component(component)->type, "At") == 0;
        if (is_at && mentioned && strlen(target) == len && memcmp(mentioned, target, len) == 0)
            return true;
    }
    return false;
}
