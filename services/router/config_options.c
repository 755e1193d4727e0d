#include "config_options.h"

enum rule { OURS, NUMBER, ONE };

static const struct {
    const char *key;
    enum rule rule;
} rules[] = {
    {"model", OURS},
    {"messages", OURS},
    {"stream", OURS},
    {"stream_options", OURS},
    {"tools", OURS},
    {"temperature", NUMBER},
    {"top_p", NUMBER},
    {"frequency_penalty", NUMBER},
    {"presence_penalty", NUMBER},
    {"max_tokens", NUMBER},
    {"max_completion_tokens", NUMBER},
    {"seed", NUMBER},
    {"n", ONE}, /* a second answer would have no place to go */
};

/* What is wrong with it; NULL: nothing. */
static const char *objection(enum rule rule, const json_t *value)
{
    switch (rule) {
    case OURS:
        return "is no option: it is set by parley itself";
    case NUMBER:
        return json_is_number(value) ? NULL : "must be a number";
    case ONE:
        return json_is_integer(value) && json_integer_value(value) == 1 ? NULL : "must be 1";
    }
    return NULL;
}

void config_check_options(struct config_reader *reader, const struct config_place *place, const json_t *options)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const struct config_place at = {.parent = place, .key = rules[i].key};
        const json_t *value = json_object_get(options, rules[i].key);
        const char *wrong = value ? objection(rules[i].rule, value) : NULL;
        if (wrong)
            config_wrong(reader, &at, "%s", wrong);
    }
}
