#include "schema.h"

#include "utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* NULL: it fits; else part of the reason. */
static void assert_checked(const char *schema_text, const char *value_text, const char *expected)
{
    json_t *schema = json_loads(schema_text, 0, NULL), *value = json_loads(value_text, JSON_DECODE_ANY, NULL);
    assert_non_null(schema);
    assert_non_null(value);
    char reason[128] = "";
    int err = schema_check(schema, value, reason, sizeof reason);
    if (err != (expected ? ERR_INVALID : ERR_NONE) || (expected && !strstr(reason, expected)))
        fail_msg("%s: %s", value_text, reason);
    assert_true(utf8_valid(reason, strlen(reason)));
    json_decref(schema);
    json_decref(value);
}

static void checks_types(void **state)
{
    (void)state;
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"s\":{\"type\":\"string\"},\"i\":{\"type\":"
        "\"integer\"},\"n\":{\"type\":\"number\"},\"b\":{\"type\":\"boolean\"},\"a\":{\"type\":"
        "\"array\",\"items\":{\"type\":\"string\"}},\"x\":{\"type\":[\"string\",\"null\"]}}}";
    assert_checked(schema, "{}", NULL);
    assert_checked(schema, "{\"s\":\"\",\"i\":1,\"n\":1.5,\"b\":true,\"a\":[\"x\"],\"x\":null,\"more\":1}", NULL);
    assert_checked(schema, "{\"i\":2.0}", NULL);
    assert_checked(schema, "{\"n\":1}", NULL);
    assert_checked(schema, "{\"s\":1}", "'s' must be of type string");
    assert_checked(schema, "{\"i\":1.5}", "'i' must be of type integer");
    assert_checked(schema, "{\"i\":1e300}", NULL);
    assert_checked(schema, "{\"b\":\"true\"}", "'b' must be of type boolean");
    assert_checked(schema, "{\"a\":[\"x\",2]}", "'a[1]' must be of type string");
    assert_checked(schema, "{\"x\":1}", "'x' must be of another type");
    assert_checked(schema, "[]", "the arguments must be of type object");
}

static void checks_members(void **state)
{
    (void)state;
    static const char schema[] =
        "{\"type\":\"object\",\"required\":[\"p\"],\"additionalProperties\":false,\"properties\":{\"p\":{\"type\":"
        "\"object\",\"required\":[\"q\"],\"properties\":{\"q\":{\"type\":\"number\"}}}}}";
    assert_checked(schema, "{\"p\":{\"q\":1}}", NULL);
    assert_checked(schema, "{}", "the arguments must have 'p'");
    assert_checked(schema, "{\"p\":{}}", "'p' must have 'q'");
    assert_checked(schema, "{\"p\":{\"q\":\"1\"}}", "'p.q' must be of type number");
    assert_checked(schema, "{\"p\":{\"q\":1},\"r\":2}", "'r' is not known here");
}

static void checks_values(void **state)
{
    (void)state;
    static const char schema[] = "{\"properties\":{\"n\":{\"minimum\":1,\"maximum\":10},\"s\":{\"minLength\":2,"
                                 "\"maxLength\":3},\"e\":{\"enum\":["
                                 "\"a\",1]},\"a\":{\"maxItems\":1}}}";
    assert_checked(schema, "{\"n\":1,\"s\":\"你好\",\"e\":1,\"a\":[1]}", NULL);
    assert_checked(schema, "{\"n\":0.5}", "'n' must be at least 1");
    assert_checked(schema, "{\"n\":11}", "'n' must be at most 10");
    assert_checked(schema, "{\"s\":\"x\"}", "at least 2 characters");
    assert_checked(schema, "{\"s\":\"four\"}", "at most 3 characters");
    assert_checked(schema, "{\"e\":\"b\"}", "'e' must be one of");
    assert_checked(schema, "{\"a\":[1,2]}", "at most 1 items");
}

static void cuts_long_names_between_characters(void **state)
{
    (void)state;
    char value[1024] = "{\"";
    for (int i = 0; i < 100; i++)
        strcat(value, "名");
    strcat(value, "\":1}");
    assert_checked("{\"additionalProperties\":false}", value, "名");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_types),
        cmocka_unit_test(checks_members),
        cmocka_unit_test(checks_values),
        cmocka_unit_test(cuts_long_names_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
