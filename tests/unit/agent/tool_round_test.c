#include "tool_round.h"

#include "fake_bus.h"
#include "tool.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX_BYTES 1000

struct fixture {
    uv_loop_t loop;
    struct alarms *alarms;
    struct wire_arena *arena;
    struct metrics *metrics;
    struct toolbox *toolbox;
    struct transcript transcript;
    Parley__Job job;
    struct tool_round_options options;
    struct tool_round *round;
    size_t base; /* messages before the round's */
    int stepped;
};

static void on_stepped(void *arg)
{
    ((struct fixture *)arg)->stepped++;
}

static void fill_toolbox(struct fixture *f)
{
    Parley__ToolDescription a = PARLEY__TOOL_DESCRIPTION__INIT, b = PARLEY__TOOL_DESCRIPTION__INIT;
    Parley__ToolDescription *tools[] = {&a, &b};
    Parley__ToolList list = PARLEY__TOOL_LIST__INIT;
    struct buf packed = {0};

    a.name = (char *)"calculator";
    b.name = (char *)"clock";
    list.n_tools = 2;
    list.tools = tools;
    wire_pack(&list.base, &packed);
    toolbox_refresh(f->toolbox);
    fake_bus_reply(0, ERR_NONE, packed.data, packed.len);
    buf_deinit(&packed);
    f->base = fake_message_count;
}

static int setup(void **state)
{
    static struct fixture f;

    f = (struct fixture){0};
    fake_bus_reset();
    uv_loop_init(&f.loop);
    f.alarms = alarms_new(&f.loop);
    f.arena = wire_arena_new(1 << 20);
    f.metrics = metrics_new();
    f.toolbox = toolbox_new(NULL, f.alarms, f.arena);
    fill_toolbox(&f);
    parley__job__init(&f.job);
    f.job.turn = (char *)"turn";
    f.job.use_tools = true;
    f.options = (struct tool_round_options){.alarms = f.alarms,
                                            .toolbox = f.toolbox,
                                            .arena = f.arena,
                                            .transcript = &f.transcript,
                                            .timeout_ms = 1000,
                                            .max_step_bytes = MAX_BYTES,
                                            .ok = metrics_counter(f.metrics, "ok", "ok", NULL),
                                            .failed = metrics_counter(f.metrics, "failed", "failed", NULL)};
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    tool_round_end(&f->round, false);
    toolbox_free(&f->toolbox);
    alarms_free(&f->alarms);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    wire_arena_free(&f->arena);
    metrics_free(&f->metrics);
    transcript_deinit(&f->transcript);
    fake_bus_reset();
    return 0;
}

static void plan(struct fixture *f, const char *name, const char *arguments)
{
    struct tool_call call = {.id = (char *)"x", .name = (char *)name};

    buf_append_text(&call.arguments, arguments);
    tool_round_plan(&f->transcript, "turn", &call, 1, f->toolbox, &f->job, MAX_BYTES);
    buf_deinit(&call.arguments);
}

static void plan_two(struct fixture *f)
{
    struct tool_call calls[2] = {{.name = (char *)"calculator"}, {.name = (char *)"clock"}};

    buf_append_text(&calls[0].arguments, "{\"expression\":\"1\"}");
    tool_round_plan(&f->transcript, "turn", calls, 2, f->toolbox, &f->job, MAX_BYTES);
    buf_deinit(&calls[0].arguments);
}

static void begin(struct fixture *f)
{
    f->round = tool_round_start(&f->options, &f->job, on_stepped, f);
}

static void answer(const struct fixture *f, size_t nth, const char *call, Parley__ToolStatus status, const char *result)
{
    Parley__ToolResult message = PARLEY__TOOL_RESULT__INIT;
    struct buf packed = {0};

    message.call = (char *)call;
    message.status = status;
    message.result = (ProtobufCBinaryData){strlen(result), (uint8_t *)result};
    wire_pack(&message.base, &packed);
    fake_bus_reply(f->base + nth, ERR_NONE, packed.data, packed.len);
    buf_deinit(&packed);
}

static void assert_step(const struct fixture *f, size_t index, bool ok, const char *result)
{
    const struct step *step = &f->transcript.steps[index];

    assert_true(step->finished);
    assert_int_equal(step->ok, ok);
    assert_int_equal(step->result.len, strlen(result));
    assert_memory_equal(step->result.data, result, strlen(result));
}

static void test_calls_of_a_round_run_together(void **state)
{
    struct fixture *f = *state;
    Parley__ToolCall *call;

    plan_two(f);
    assert_string_equal(f->transcript.steps[0].call, "turn-1-0");
    assert_memory_equal(f->transcript.steps[1].arguments.data, "{}", 2);
    begin(f);
    assert_int_equal(fake_message_count, f->base + 2);
    assert_string_equal(fake_messages[f->base].subject, "parley.tool.calculator");
    assert_string_equal(fake_messages[f->base + 1].subject, "parley.tool.clock");
    assert_int_equal(wire_unpack(f->arena, &parley__tool_call__descriptor, fake_messages[f->base].payload.data,
                                 fake_messages[f->base].payload.len, &call),
                     ERR_NONE);
    assert_string_equal(call->call, "turn-1-0");
    assert_string_equal(call->turn, "turn");
    assert_true(call->deadline_ms > 0);
    answer(f, 1, "turn-1-1", PARLEY__TOOL_STATUS__TOOL_STATUS_OK, "\"noon\"");
    assert_int_equal(f->stepped, 1);
    assert_false(transcript_round_finished(&f->transcript));
    answer(f, 0, "turn-1-0", PARLEY__TOOL_STATUS__TOOL_STATUS_OK, "1");
    assert_true(transcript_round_finished(&f->transcript));
    assert_step(f, 0, true, "1");
    assert_step(f, 1, true, "\"noon\"");
}

static void test_calls_that_cannot_be_made(void **state)
{
    struct fixture *f = *state;
    char *allowed[] = {(char *)"clock"};
    Parley__Persona persona = PARLEY__PERSONA__INIT;

    plan(f, "nothing", "{}");
    assert_step(f, 0, false, "there is no tool of this name");
    plan(f, "rm -rf *\n", "{}");
    assert_step(f, 1, false, "this is no name of a tool");
    assert_string_equal(f->transcript.steps[1].name, "rm_-rf___");
    plan(f, "", "{}");
    assert_string_equal(f->transcript.steps[2].name, "_");
    plan(f, "clock", "[1]");
    assert_step(f, 3, false, "the arguments are not a JSON object");
    assert_memory_equal(f->transcript.steps[3].arguments.data, "{}", 2);
    plan(f, "clock", "{\"a\":");
    assert_step(f, 4, false, "the arguments are not a JSON object");
    persona.n_tools = 1;
    persona.tools = allowed;
    f->job.persona = &persona;
    plan(f, "calculator", "{}");
    assert_step(f, 5, false, "this tool is not allowed here");
    f->job.use_tools = false;
    plan(f, "clock", "{}");
    assert_step(f, 6, false, "this tool is not allowed here");
    begin(f);
    assert_int_equal(fake_message_count, f->base);
    f->job.persona = NULL;
}

static void test_failures_are_results(void **state)
{
    struct fixture *f = *state;

    plan_two(f);
    begin(f);
    fake_bus_reply(f->base, ERR_NO_RESPONDERS, NULL, 0);
    assert_step(f, 0, false, "the tools service is not there");
    fake_bus_reply(f->base + 1, ERR_TIMEOUT, NULL, 0);
    assert_step(f, 1, false, "the tool did not answer in time");
    assert_string_equal(fake_messages[f->base + 2].subject, "parley.tool_cancel");
}

static void test_hostile_answers(void **state)
{
    struct fixture *f = *state;
    char flood[MAX_BYTES + 1];

    memset(flood, '1', sizeof flood);
    flood[MAX_BYTES] = '\0';
    plan_two(f);
    begin(f);
    answer(f, 0, "turn-1-1", PARLEY__TOOL_STATUS__TOOL_STATUS_OK, "1");
    assert_step(f, 0, false, "the tools service answered with something else");
    answer(f, 1, "turn-1-1", PARLEY__TOOL_STATUS__TOOL_STATUS_OK, "not json");
    assert_step(f, 1, false, "the tool answered with something that is not JSON");
    tool_round_end(&f->round, false);
    plan_two(f);
    f->base += 2;
    begin(f);
    answer(f, 0, "turn-2-0", PARLEY__TOOL_STATUS__TOOL_STATUS_OK, flood);
    assert_step(f, 2, false, "the result is too large");
    answer(f, 1, "turn-2-1", PARLEY__TOOL_STATUS__TOOL_STATUS_FAILED, "\xff");
    assert_step(f, 3, false, "the tool failed without saying why");
}

static void test_only_unfinished_steps_are_called_again(void **state)
{
    struct fixture *f = *state;

    plan_two(f);
    transcript_finish(&f->transcript, 0, true, "1", 1);
    begin(f);
    assert_int_equal(fake_message_count, f->base + 1);
    assert_string_equal(fake_messages[f->base].subject, "parley.tool.clock");
}

static void test_abandoned_calls_are_cancelled(void **state)
{
    struct fixture *f = *state;

    plan_two(f);
    begin(f);
    answer(f, 0, "turn-1-0", PARLEY__TOOL_STATUS__TOOL_STATUS_OK, "1");
    tool_round_end(&f->round, true);
    assert_null(f->round);
    assert_int_equal(fake_message_count, f->base + 3);
    assert_string_equal(fake_messages[f->base + 2].subject, "parley.tool_cancel");
    assert_false(fake_messages[f->base + 1].waiting);
}

static void test_without_a_broker(void **state)
{
    struct fixture *f = *state;

    plan_two(f);
    fake_publish_error = ERR_DISCONNECTED;
    begin(f);
    assert_false(transcript_round_finished(&f->transcript));
    while (!transcript_round_finished(&f->transcript))
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(f->stepped, 2);
    assert_step(f, 0, false, "the message broker is unreachable");
}

static void test_a_broker_that_comes_back(void **state)
{
    struct fixture *f = *state;

    plan_two(f);
    begin(f);
    answer(f, 1, "turn-1-1", PARLEY__TOOL_STATUS__TOOL_STATUS_OK, "2");
    fake_bus_reply(f->base, ERR_DISCONNECTED, NULL, 0);
    assert_false(transcript_round_finished(&f->transcript));
    while (fake_message_count < f->base + 3)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_string_equal(fake_messages[f->base + 2].subject, "parley.tool.calculator");
    assert_int_equal(fake_messages[f->base + 2].payload.len, fake_messages[f->base].payload.len);
    fake_bus_reply(f->base + 2, ERR_NO_RESPONDERS, NULL, 0); /* the tools service is not back yet */
    while (fake_message_count < f->base + 4)
        uv_run(&f->loop, UV_RUN_ONCE);
    answer(f, 3, "turn-1-0", PARLEY__TOOL_STATUS__TOOL_STATUS_OK, "1");
    assert_true(transcript_round_finished(&f->transcript));
    assert_step(f, 0, true, "1");
}

static void test_the_offer(void **state)
{
    struct fixture *f = *state;
    char *allowed[] = {(char *)"clock", (char *)"unknown"};
    Parley__Persona persona = PARLEY__PERSONA__INIT;
    size_t count;

    free(toolbox_offer(f->toolbox, &f->job, &count));
    assert_int_equal(count, 2);
    persona.n_tools = 2;
    persona.tools = allowed;
    f->job.persona = &persona;
    struct prompt_tool *offer = toolbox_offer(f->toolbox, &f->job, &count);
    assert_int_equal(count, 1);
    assert_string_equal(offer[0].name, "clock");
    free(offer);
    f->job.use_tools = false;
    assert_null(toolbox_offer(f->toolbox, &f->job, &count));
    f->job.persona = NULL;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_calls_of_a_round_run_together),
        TEST(test_calls_that_cannot_be_made),
        TEST(test_failures_are_results),
        TEST(test_hostile_answers),
        TEST(test_only_unfinished_steps_are_called_again),
        TEST(test_abandoned_calls_are_cancelled),
        TEST(test_without_a_broker),
        TEST(test_a_broker_that_comes_back),
        TEST(test_the_offer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
