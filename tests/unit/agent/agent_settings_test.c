#include "agent_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const names[] = {"OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_MODEL", "DEMO_MODEL_URL"};

static struct agent_settings load(const char *base_url, const char *key, const char *model)
{
    const char *values[] = {base_url, key, model, "http://demo:1/v1"};
    struct agent_settings settings = {0};
    char reason[256];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        setenv(names[i], values[i], 1); /* an empty one counts as not set */
    assert_int_equal(settings_load(agent_settings_table, &settings, reason, sizeof reason), ERR_NONE);
    assert_int_equal(agent_settings_check(&settings, reason, sizeof reason), ERR_NONE);
    return settings;
}

/* With the same settings, this one is asked. `key` NULL: none. */
static void assert_asked(struct agent_settings settings, const char *base_url, const char *key, const char *name)
{
    struct agent_model model = agent_settings_model(&settings);
    assert_string_equal(model.endpoint.base_url, base_url);
    assert_string_equal(model.name, name);
    assert_true((model.endpoint.api_key == NULL) == (key == NULL));
    if (key)
        assert_string_equal(model.endpoint.api_key, key);
    settings_deinit(agent_settings_table, &settings);
}

static void without_settings_the_demo_model_answers(void **state)
{
    (void)state;
    assert_asked(load("", "", ""), "http://demo:1/v1", NULL, "demo");
    assert_asked(load("", "", "other"), "http://demo:1/v1", NULL, "other");
}

static void a_provider_gets_a_model_that_it_may_have(void **state)
{
    (void)state;
    assert_asked(load("https://llm.example/v1", "", ""), "https://llm.example/v1", NULL, "gpt-4o-mini");
    assert_asked(load("https://llm.example/v1", "k", "large"), "https://llm.example/v1", "k", "large");
}

/* It may stand in somebody's environment for something else. */
static void a_key_alone_is_told_to_nobody(void **state)
{
    (void)state;
    assert_asked(load("", "k", ""), "http://demo:1/v1", NULL, "demo");
}

/* Its words stand in the table, where they can't be taken from the provider. */
static void the_help_names_the_usual_model(void **state)
{
    (void)state;
    const struct setting *row = agent_settings_table;
    while (strcmp(row->name, "OPENAI_MODEL") != 0)
        row++;
    assert_non_null(strstr(row->help, provider_openai.default_model));
}

static void assert_goes_on(const char *how, const char *base_url, enum continuation expected)
{
    setenv("LLM_CONTINUATION", how, 1);
    struct agent_settings settings = load(base_url, "", "");
    assert_int_equal(agent_settings_continuation(&settings), expected);
    settings_deinit(agent_settings_table, &settings);
    unsetenv("LLM_CONTINUATION");
}

static void goes_on_as_told_or_else_as_the_provider_needs(void **state)
{
    static const char openai[] = "https://api.openai.com/v1", other[] = "https://llm.example/v1";
    (void)state;
    assert_goes_on("auto", openai, CONTINUE_ASK);
    assert_goes_on("auto", other, CONTINUE_PREFIX);
    assert_goes_on("auto", "", CONTINUE_PREFIX); /* the demo model */
    assert_goes_on("", openai, CONTINUE_ASK);
    assert_goes_on("prefix", openai, CONTINUE_PREFIX);
    assert_goes_on("vllm", other, CONTINUE_MARKED);
    assert_goes_on("ask", other, CONTINUE_ASK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_settings_the_demo_model_answers),
        cmocka_unit_test(a_provider_gets_a_model_that_it_may_have),
        cmocka_unit_test(a_key_alone_is_told_to_nobody),
        cmocka_unit_test(the_help_names_the_usual_model),
        cmocka_unit_test(goes_on_as_told_or_else_as_the_provider_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
