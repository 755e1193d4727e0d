#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DEFAULT_PIPELINE "11111111-1111-4111-8111-111111111111"

static struct config *read_config(const char *text)
{
    struct config *config = NULL;
    char reason[CONFIG_REASON_SIZE] = "";
    int err = config_parse(text, strlen(text), &config, reason);
    if (err)
        fail_msg("%s", reason);
    return config;
}

static void assert_wrong(const char *text, const char *expected)
{
    struct config *config = NULL;
    char reason[CONFIG_REASON_SIZE] = "";
    assert_int_equal(config_parse(text, strlen(text), &config, reason), ERR_INVALID);
    assert_null(config);
    assert_string_equal(reason, expected);
}

static const char full[] =
    "{\"default_pipeline\": \"second\",\n"
    " \"pipelines\": [\n"
    "  {\"uuid\": \"first\", \"name\": \"One\", \"model\": \"large\", \"persona\": \"kind\", \"tools\": [\"a\", "
    "\"b\"],\n"
    "   \"group\": {\"trigger\": \"bot\", \"mention\": \"robot\"}},\n"
    "  {\"uuid\": \"second\", \"name\": \"Two\"}],\n"
    " \"personas\": [\n"
    "  {\"id\": \"kind\", \"name\": \"Kind\", \"system_prompt\": \"Be kind.\", \"options\": {\"temperature\": 0.5}},\n"
    "  {\"id\": \"own\", \"name\": \"Own\", \"system_prompt\": \"Be.\", \"model\": \"small\", \"tools\": [\"b\", "
    "\"c\"]},\n"
    "  {\"id\": \"none\", \"name\": \"None\", \"system_prompt\": \"Be.\", \"tools\": []}],\n"
    " \"contact\": {\"webhook\": \"http://127.0.0.1:1/x\", \"apology\": \"sorry\", \"persona\": \"own\", \"owner\": "
    "\"me\"}}\n";

static void the_built_in_one_is_sound(void **state)
{
    struct config *config = NULL;
    char reason[CONFIG_REASON_SIZE] = "";
    (void)state;
    assert_int_equal(config_load(NULL, &config, reason), ERR_NONE);
    assert_true(config_has_pipeline(config, DEFAULT_PIPELINE));
    assert_true(config_has_pipeline(config, ""));
    assert_string_equal(config_group_trigger(config, DEFAULT_PIPELINE), "ai");
    assert_string_equal(config_group_mention(config, ""), "websocketbot");
    assert_null(config_webhook(config));
    const char *const personas[] = {"", "assistant", "programmer", "translator"};
    for (size_t i = 0; i < 4; i++) {
        struct config_choice choice;
        assert_int_equal(config_choose(config, "", personas[i], false, &choice, reason), ERR_NONE);
        assert_true(choice.persona.system_prompt.len > 100);
        config_choice_deinit(&choice);
    }
    config_free(&config);
}

static void a_pipeline_names_persona_model_and_tools(void **state)
{
    struct config *config = read_config(full);
    struct config_choice choice;
    char reason[CONFIG_REASON_SIZE];
    (void)state;
    assert_int_equal(config_choose(config, "first", "", false, &choice, reason), ERR_NONE);
    assert_string_equal(choice.persona.name, "kind");
    assert_string_equal(choice.persona.model, "large");
    assert_int_equal(choice.persona.n_tools, 2);
    assert_memory_equal(choice.persona.system_prompt.data, "Be kind.", 8);
    assert_memory_equal(choice.persona.options.data, "{\"temperature\":0.5}", choice.persona.options.len);
    assert_false(choice.no_tools);
    config_choice_deinit(&choice);
    assert_string_equal(config_group_trigger(config, "first"), "bot");
    assert_string_equal(config_group_trigger(config, "second"), "");
    config_free(&config);
}

static void a_named_persona_goes_before_the_pipelines_own(void **state)
{
    struct config *config = read_config(full);
    struct config_choice choice;
    char reason[CONFIG_REASON_SIZE];
    (void)state;
    assert_int_equal(config_choose(config, "first", "own", false, &choice, reason), ERR_NONE);
    assert_string_equal(choice.persona.model, "small");
    assert_int_equal(choice.persona.n_tools, 1); /* what both allow */
    assert_string_equal(choice.persona.tools[0], "b");
    config_choice_deinit(&choice);
    assert_int_equal(config_choose(config, "first", "none", false, &choice, reason), ERR_NONE);
    assert_true(choice.no_tools);
    config_choice_deinit(&choice);
    config_free(&config);
}

static void without_a_persona_the_model_is_told_nothing(void **state)
{
    struct config *config = read_config(full);
    struct config_choice choice;
    char reason[CONFIG_REASON_SIZE];
    (void)state;
    assert_int_equal(config_choose(config, "", "", false, &choice, reason), ERR_NONE);
    assert_string_equal(choice.persona.name, "");
    assert_int_equal(choice.persona.system_prompt.len, 0);
    assert_int_equal(choice.persona.n_tools, 0);
    assert_false(choice.no_tools);
    config_choice_deinit(&choice);
    config_free(&config);
}

static void contacts_have_a_persona_of_their_own(void **state)
{
    struct config *config = read_config(full);
    struct config_choice choice;
    char reason[CONFIG_REASON_SIZE];
    (void)state;
    assert_int_equal(config_choose(config, "", "", true, &choice, reason), ERR_NONE);
    assert_string_equal(choice.persona.name, "own");
    assert_string_equal(choice.apology, "sorry");
    config_choice_deinit(&choice);
    assert_int_equal(config_choose(config, "", "", false, &choice, reason), ERR_NONE);
    assert_null(choice.apology);
    config_choice_deinit(&choice);
    assert_int_equal(config_choose(config, "", "kind", true, &choice, reason), ERR_NONE);
    assert_string_equal(choice.persona.name, "kind");
    config_choice_deinit(&choice);
    assert_string_equal(config_webhook(config), "http://127.0.0.1:1/x");
    assert_string_equal(config_owner(config), "me");
    config_free(&config);
}

static void what_is_not_there_is_named(void **state)
{
    struct config *config = read_config(full);
    struct config_choice choice;
    char reason[CONFIG_REASON_SIZE];
    char long_name[5000];
    (void)state;
    assert_false(config_has_pipeline(config, "third"));
    assert_int_equal(config_choose(config, "third", "", false, &choice, reason), ERR_NOT_FOUND);
    assert_string_equal(reason, "Pipeline not found");
    assert_int_equal(config_choose(config, "", "rude", false, &choice, reason), ERR_NOT_FOUND);
    assert_string_equal(reason, "Unknown personality: rude");
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    assert_int_equal(config_choose(config, "", long_name, false, &choice, reason), ERR_NOT_FOUND);
    config_free(&config);
}

static void what_is_wrong_is_told_with_its_place(void **state)
{
    (void)state;
    assert_wrong("[]", "must be an object, line 1");
    assert_wrong("{}", "pipelines: is missing, line 1");
    assert_wrong("\n\n{\"pipelines\": []}", "pipelines: there must be at least one, line 3");
    assert_wrong("{\"pipelines\": {}}", "pipelines: must be an array of at most 1000 elements, line 1");
    assert_wrong("{\"pipelines\": [{\"uuid\": \"a\", \"name\": \"A\"},\n {\"name\": \"B\"}]}",
                 "pipelines[1].uuid: is missing, line 2");
    assert_wrong(
        "{\"pipelines\": [{\"uuid\": \"a\", \"name\": \"A\"},\n\n {\"name\": \"B\",\n \"uuid\": \"no/slash\"}]}",
        "pipelines[1].uuid: must be 1 to 64 letters, digits, _ and -, line 4");
    assert_wrong("{\"pipelines\": [{\"uuid\": \"a\", \"name\": \"A\"},\n {\"uuid\": \"a\", \"name\": \"B\"}]}",
                 "pipelines[1].uuid: there is another pipeline 'a', line 2");
    assert_wrong("{\"pipelines\": [{\"uuid\": \"a\", \"name\": \"A\",\n \"persona\":\"x\"}]}",
                 "pipelines[0].persona: there is no persona 'x', line 2");
    assert_wrong("{\"pipelines\": [{\"uuid\": \"a\", \"name\": \"A\",\n \"tools\": [\"x\",\n 5]}]}",
                 "pipelines[0].tools[1]: must be 1 to 64 letters, digits, _ and -, line 3");
    assert_wrong("{\"pipelines\": [{\"uuid\": \"a\", \"name\": \"A\",\n \"gruop\": {}}]}",
                 "pipelines[0].gruop: is not known here, line 2");
    assert_wrong("{\"pipelines\": [{\"uuid\": \"a\", \"name\": \"{]\\\"\\\\\",\n \"group\": {\"trigger\":\n\"\"}}]}",
                 "pipelines[0].group.trigger: must be a text of 1 to 256 bytes without control characters, line 3");
    assert_wrong("{\"pipelines\": [{\"uuid\": \"a\", \"name\": \"A\",\n \"model\": \"a\\u0085b\"}]}",
                 "pipelines[0].model: must be a text of 1 to 256 bytes without control characters, line 2");
    assert_wrong("{\"pipelines\": [{\"uuid\": \"a\", \"name\": \"A\"}],\n\"contact\": {\"webhook\": \"ftp://x\"}}",
                 "contact.webhook: must be an address that begins with http:// or https://, line 2");
    assert_wrong("{\"pipelines\": [{\"uuid\": \"a\", \"name\": \"A\"}],\n\"default_pipeline\": \"b\"}",
                 "default_pipeline: there is no pipeline 'b', line 2");
    assert_wrong(
        "{\"pipelines\": [{\"uuid\": \"a\", \"name\": \"A\"}], \"personas\": [{\"id\": \"x\", \"name\": \"X\",\n"
        "\"system_prompt\": \"\\u0000\"}]}",
        "personas[0].system_prompt: must be a text of 1 to 65536 bytes without U+0000, line 2");
}

#define WITH_OPTIONS(options)                                 \
    "{\"pipelines\": [{\"uuid\": \"a\", \"name\": \"A\"}],\n" \
    "\"personas\": [{\"id\": \"x\", \"name\": \"X\", \"system_prompt\": \"Be.\",\n\"options\": " options "}]}"

static void options_are_checked(void **state)
{
    static const char *const ours[] = {"model", "messages", "stream", "stream_options", "tools"},
                             *const numbers[] = {"temperature",
                                                 "top_p",
                                                 "frequency_penalty",
                                                 "presence_penalty",
                                                 "max_tokens",
                                                 "max_completion_tokens",
                                                 "seed"};
    char text[512], expected[CONFIG_REASON_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        snprintf(text, sizeof text, WITH_OPTIONS("{\n\"%s\": null}"), ours[i]);
        snprintf(expected, sizeof expected, "personas[0].options.%s: is no option: it is set by parley itself, line 4",
                 ours[i]);
        assert_wrong(text, expected);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        snprintf(text, sizeof text, WITH_OPTIONS("{\n\n\"%s\": \"1\"}"), numbers[i]);
        snprintf(expected, sizeof expected, "personas[0].options.%s: must be a number, line 5", numbers[i]);
        assert_wrong(text, expected);
    }
    assert_wrong(WITH_OPTIONS("7"), "personas[0].options: must be an object, line 3");
    assert_wrong(WITH_OPTIONS("[]"), "personas[0].options: must be an object, line 3");
    assert_wrong(WITH_OPTIONS("{\"n\": 2}"), "personas[0].options.n: must be 1, line 3");
    assert_wrong(WITH_OPTIONS("{\"n\": 1.0}"), "personas[0].options.n: must be 1, line 3");
    assert_wrong(WITH_OPTIONS("{\"seed\": true}"), "personas[0].options.seed: must be a number, line 3");
    struct config *config = read_config(
        WITH_OPTIONS("{\"n\": 1, \"seed\": 7, \"top_p\": 0.5, \"stop\": [\"x\"], \"reasoning_effort\": \"low\"}"));
    config_free(&config);
}

static void what_is_no_json_is_told_with_its_line(void **state)
{
    struct config *config = NULL;
    char reason[CONFIG_REASON_SIZE] = "";
    (void)state;
    assert_int_equal(config_parse("{\n\"a\": 1,\n\"a\": 2}", 17, &config, reason), ERR_INVALID);
    assert_non_null(strstr(reason, "line 3"));
}

static void a_file_is_named(void **state)
{
    char path[] = "/tmp/parley-config-XXXXXX", reason[CONFIG_REASON_SIZE] = "", expected[CONFIG_REASON_SIZE];
    struct config *config = NULL;
    (void)state;
    assert_int_equal(config_load("/nonexistent/parley.json", &config, reason), ERR_SYSTEM);
    assert_string_equal(reason, "/nonexistent/parley.json: No such file or directory");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "{}", 2), 2);
    close(fd);
    assert_int_equal(config_load(path, &config, reason), ERR_INVALID);
    snprintf(expected, sizeof expected, "%s: pipelines: is missing, line 1", path);
    assert_string_equal(reason, expected);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_built_in_one_is_sound),
        cmocka_unit_test(a_pipeline_names_persona_model_and_tools),
        cmocka_unit_test(a_named_persona_goes_before_the_pipelines_own),
        cmocka_unit_test(without_a_persona_the_model_is_told_nothing),
        cmocka_unit_test(contacts_have_a_persona_of_their_own),
        cmocka_unit_test(what_is_not_there_is_named),
        cmocka_unit_test(what_is_wrong_is_told_with_its_place),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(what_is_no_json_is_told_with_its_line),
        cmocka_unit_test(a_file_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
