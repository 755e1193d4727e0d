/* The tools service from outside: a process of it, a broker, and calls over the bus. */
#include "bus_harness.h"
#include "subjects.h"
#include "tool.pb-c.h"
#include "wire.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 20000

/* `count` leaves a line in a file each time that it runs. */
static const char config[] =
    "{\"tools\":["
    "{\"name\":\"hang\",\"description\":\"\",\"parameters\":{},\"command\":[\"/bin/sleep\",\"60\"],\"timeout_ms\":300},"
    "{\"name\":\"patient\",\"description\":\"\",\"parameters\":{},\"command\":[\"/bin/sleep\",\"60\"]},"
    "{\"name\":\"flood\",\"description\":\"\",\"parameters\":{},\"command\":[\"/usr/bin/yes\"]},"
    "{\"name\":\"count\",\"description\":\"\",\"parameters\":{},\"command\":[\"/bin/sh\",\"-c\",\"echo x >> %s; wc -l "
    "< %s\"]}]}";

struct fixture {
    struct harness harness;
    struct bus *bus;
    struct wire_arena *arena;
    pid_t tools;
    bool is_ending;
    char config_path[128], count_path[128];
};

struct answer {
    struct fixture *fixture;
    bool come;
    int err;
    Parley__ToolStatus status;
    char text[256];
};

static void on_answer(void *arg, int err, const struct bus_message *reply)
{
    struct answer *answer = arg;
    answer->come = true;
    answer->err = err;
    if (err)
        return;
    Parley__ToolResult *result;
    assert_int_equal(
        wire_unpack(answer->fixture->arena, &parley__tool_result__descriptor, reply->data, reply->len, &result),
        ERR_NONE);
    answer->status = result->status;
    snprintf(answer->text, sizeof answer->text, "%.*s", (int)result->result.len, (char *)result->result.data);
}

static void start_call(struct fixture *f, const char *id, const char *tool, const char *arguments,
                       struct answer *answer)
{
    *answer = (struct answer){.fixture = f};
    Parley__ToolCall call = PARLEY__TOOL_CALL__INIT;
    call.call = (char *)id;
    call.name = (char *)tool;
    call.arguments.data = (uint8_t *)arguments;
    call.arguments.len = strlen(arguments);
    struct buf payload = {0};
    wire_pack(&call.base, &payload);
    char subject[SUBJECT_SIZE];
    snprintf(subject, sizeof subject, SUBJECT_TOOL, tool);
    assert_int_equal(bus_request(f->bus, subject, NULL, &payload, PATIENCE_MS, on_answer, answer, NULL), ERR_NONE);
}

static void wait_for(struct fixture *f, struct answer *answer)
{
    assert_true(HARNESS_RUN_UNTIL(&f->harness, answer->come, PATIENCE_MS));
    assert_int_equal(answer->err, ERR_NONE);
}

static void call(struct fixture *f, const char *id, const char *tool, const char *arguments, struct answer *answer)
{
    start_call(f, id, tool, arguments, answer);
    wait_for(f, answer);
}

static void cancel(struct fixture *f, const char *id)
{
    Parley__ToolCancel message = PARLEY__TOOL_CANCEL__INIT;
    message.call = (char *)id;
    struct buf payload = {0};
    wire_pack(&message.base, &payload);
    assert_int_equal(bus_publish(f->bus, SUBJECT_TOOL_CANCEL, NULL, NULL, &payload), ERR_NONE);
}

static void assert_failed(const struct answer *answer, const char *reason)
{
    assert_int_equal(answer->status, PARLEY__TOOL_STATUS__TOOL_STATUS_FAILED);
    assert_string_equal(answer->text, reason);
}

static void write_config(struct fixture *f)
{
    snprintf(f->config_path, sizeof f->config_path, "%s/tools.json", f->harness.broker.dir);
    snprintf(f->count_path, sizeof f->count_path, "%s/count", f->harness.broker.dir);
    FILE *file = fopen(f->config_path, "we");
    assert_non_null(file);
    fprintf(file, config, f->count_path, f->count_path);
    fclose(file);
}

static pid_t start_tools(const struct fixture *f)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    setenv("NATS_URL", f->harness.broker.url, 1);
    setenv("TOOLS_CONFIG", f->config_path, 1);
    setenv("OPS_PORT", "0", 1);
    setenv("TOOL_MAX_CONCURRENT", "2", 1);
    setenv("TOOL_MAX_QUEUED", "1", 1);
    setenv("DRAIN_SECONDS", "1", 1);
    setenv("LOG_LEVEL", "error", 1);
    execl(PARLEY_TOOLS, PARLEY_TOOLS, (char *)NULL);
    _exit(127);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    harness_init(&f->harness);
    f->arena = wire_arena_new(1 << 20);
    f->bus = harness_bus(&f->harness);
    write_config(f);
    f->tools = start_tools(f);
    struct answer answer = {.err = ERR_NO_RESPONDERS};
    int64_t until = clock_monotonic_ms() + PATIENCE_MS;
    while (answer.err == ERR_NO_RESPONDERS && clock_monotonic_ms() < until) {
        start_call(f, "first", "calculator", "{\"expression\":\"1\"}", &answer);
        HARNESS_RUN_UNTIL(&f->harness, answer.come, PATIENCE_MS);
    }
    *state = f;
    return answer.err;
}

/* It drains and exits 0, whatever has gone on before. */
static int teardown(void **state)
{
    struct fixture *f = *state;
    if (!f->is_ending)
        kill(f->tools, SIGTERM);
    int status = 0;
    waitpid(f->tools, &status, 0);
    bus_free(&f->bus);
    wire_arena_free(&f->arena);
    unlink(f->config_path);
    unlink(f->count_path);
    harness_deinit(&f->harness);
    free(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void answers_calls(void **state)
{
    struct answer answer;
    call(*state, "a1", "calculator", "{\"expression\":\"123 + 456\"}", &answer);
    assert_int_equal(answer.status, PARLEY__TOOL_STATUS__TOOL_STATUS_OK);
    assert_string_equal(answer.text, "579");
    call(*state, "a2", "nothing", "{}", &answer);
    assert_int_equal(answer.status, PARLEY__TOOL_STATUS__TOOL_STATUS_NOT_FOUND);
    call(*state, "a3", "calculator", "{}", &answer);
    assert_failed(&answer, "the arguments must have 'expression'");
    call(*state, "a4", "calculator", "[]", &answer);
    assert_failed(&answer, "the arguments must be a JSON object");
    call(*state, "a5", "flood", "{}", &answer);
    assert_failed(&answer, "the tool's output is too large");
}

static void stops_a_tool_that_hangs(void **state)
{
    struct answer answer;
    int64_t start = clock_monotonic_ms();
    call(*state, "h1", "hang", "{}", &answer);
    assert_failed(&answer, "the tool took too long");
    assert_in_range(clock_monotonic_ms() - start, 290, 5000);
}

static void queues_and_then_refuses(void **state)
{
    struct answer running[2], waiting, refused;
    start_call(*state, "q1", "patient", "{}", &running[0]);
    start_call(*state, "q2", "patient", "{}", &running[1]);
    start_call(*state, "q3", "calculator", "{\"expression\":\"2\"}", &waiting);
    call(*state, "q4", "calculator", "{\"expression\":\"3\"}", &refused);
    assert_failed(&refused, "too busy: too many calls are waiting");
    assert_false(waiting.come);

    cancel(*state, "q1");
    wait_for(*state, &running[0]);
    assert_failed(&running[0], "the call was cancelled");
    wait_for(*state, &waiting);
    assert_string_equal(waiting.text, "2");
    cancel(*state, "q2");
    wait_for(*state, &running[1]);
}

static void does_not_run_a_call_twice(void **state)
{
    struct answer first, again, other;
    start_call(*state, "c1", "count", "{}", &first);
    start_call(*state, "c1", "count", "{}", &again);
    wait_for(*state, &first);
    wait_for(*state, &again);
    assert_string_equal(first.text, "1");
    assert_string_equal(again.text, "1");
    call(*state, "c1", "count", "{}", &again);
    assert_string_equal(again.text, "1");
    call(*state, "c1", "count", "{\"other\":1}", &other); /* the same id, but another call */
    assert_string_equal(other.text, "2");
}

static void refuses_a_call_that_its_cancellation_overtook(void **state)
{
    struct answer cancelled, other;
    cancel(*state, "o1");
    call(*state, "o0", "calculator", "{\"expression\":\"2\"}", &other); /* by now the cancellation is there, too */
    call(*state, "o1", "count", "{}", &cancelled);
    assert_failed(&cancelled, "the call was cancelled");
    call(*state, "o2", "count", "{}", &other);
    assert_string_equal(other.text, "1");
}

static void a_drain_that_takes_too_long_answers_what_still_runs(void **state)
{
    struct fixture *f = *state;
    struct answer running, ended;
    start_call(f, "d1", "patient", "{}", &running);
    call(f, "d2", "calculator", "{\"expression\":\"2\"}", &ended); /* by now the first one runs */
    kill(f->tools, SIGTERM);
    f->is_ending = true; /* a second signal may come when it handles none any more */
    wait_for(f, &running);
    assert_failed(&running, "the tools service is shutting down");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(stops_a_tool_that_hangs, setup, teardown),
        cmocka_unit_test_setup_teardown(queues_and_then_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(does_not_run_a_call_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_call_that_its_cancellation_overtook, setup, teardown),
        cmocka_unit_test_setup_teardown(a_drain_that_takes_too_long_answers_what_still_runs, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
