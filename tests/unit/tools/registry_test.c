#include "registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int load(struct registry *registry, const char *text, char *reason, size_t reason_size)
{
    char path[] = "/tmp/parley-registry-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    int err = registry_load(registry, path, reason, reason_size);
    unlink(path);
    return err;
}

static void knows_the_built_in_tools(void **state)
{
    (void)state;
    struct registry *registry = registry_new();
    assert_int_equal(registry_count(registry), 2);
    assert_non_null(registry_find(registry, "calculator")->built_in);
    assert_non_null(registry_find(registry, "current_time")->schema);
    assert_null(registry_find(registry, "nothing"));
    registry_free(&registry);
    assert_null(registry);
}

static void loads_the_operators_commands(void **state)
{
    (void)state;
    struct registry *registry = registry_new();
    char reason[256];
    assert_int_equal(load(registry,
                          "{\"tools\":[{\"name\":\"weather\",\"description\":\"the weather\",\"parameters\":{\"type\":"
                          "\"object\"},\"command\":[\"/bin/cat\",\"\"],\"timeout_ms\":50}]}",
                          reason, sizeof reason),
                     ERR_NONE);
    const struct registry_tool *tool = registry_find(registry, "weather");
    assert_non_null(tool);
    assert_null(tool->built_in);
    assert_string_equal(tool->command[0], "/bin/cat");
    assert_string_equal(tool->command[1], "");
    assert_null(tool->command[2]);
    assert_int_equal(tool->timeout_ms, 50);
    assert_string_equal(tool->parameters, "{\"type\":\"object\"}");
    registry_free(&registry);
}

#define GOOD "\"name\":\"a\",\"description\":\"d\",\"parameters\":{},\"command\":[\"/bin/true\"]"

static void names_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"", "line 1"},
        {"[]", "\"tools\" must be an array"},
        {"{\"tools\":{}}", "\"tools\" must be an array"},
        {"{\"tools\":[1]}", "tools[0].name must be"},
        {"{\"tools\":[{" GOOD "},{\"name\":\"a b\"}]}", "tools[1].name must be"},
        {"{\"tools\":[{\"name\":\"a\"}]}", "tools[0].description must be a string"},
        {"{\"tools\":[{\"name\":\"a\",\"description\":\"d\"}]}", "tools[0].parameters must be an object"},
        {"{\"tools\":[{\"name\":\"a\",\"description\":\"d\",\"parameters\":{},\"command\":[]}]}", "tools[0].command"},
        {"{\"tools\":[{\"name\":\"a\",\"description\":\"d\",\"parameters\":{},\"command\":[\"a\\u0000\"]}]}",
         "tools[0].command"},
        {"{\"tools\":[{" GOOD ",\"timeout_ms\":0}]}", "tools[0].timeout_ms"},
        {"{\"tools\":[{" GOOD ",\"timout_ms\":1}]}", "tools[0].timout_ms is not known"},
        {"{\"tools\":[{" GOOD "},{" GOOD "}]}", "tools[1].name is taken"},
    };
    struct registry *registry = registry_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char reason[256] = "";
        if (load(registry, cases[i].text, reason, sizeof reason) != ERR_INVALID || !strstr(reason, cases[i].reason))
            fail_msg("%s: %s", cases[i].text, reason);
        assert_int_equal(registry_count(registry), 2);
    }
    char reason[256];
    assert_int_equal(registry_load(registry, "/nonexistent/tools.json", reason, sizeof reason), ERR_INVALID);
    assert_non_null(strstr(reason, "/nonexistent/tools.json"));
    registry_free(&registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_the_built_in_tools),
        cmocka_unit_test(loads_the_operators_commands),
        cmocka_unit_test(names_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
