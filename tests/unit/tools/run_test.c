#include "run.h"

#include "clock.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct outcome {
    int calls;
    bool ok;
    char text[512];
};

static void on_done(void *arg, bool ok, struct buf *result)
{
    struct outcome *outcome = arg;
    outcome->calls++;
    outcome->ok = ok;
    snprintf(outcome->text, sizeof outcome->text, "%s", result->data ? result->data : "");
}

static void run_to_the_end(uv_loop_t *loop)
{
    uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0);
}

static struct run *start(uv_loop_t *loop, struct registry_tool *tool, json_t *arguments, const char *credential,
                         struct outcome *outcome)
{
    assert_int_equal(uv_loop_init(loop), 0);
    const struct run_options options = {.tool = tool, .max_output = 1000, .credential = credential};
    struct run *run = run_start(loop, &options, &arguments, on_done, outcome);
    assert_null(arguments);
    assert_int_equal(outcome->calls, 0);
    return run;
}

static struct outcome run_shell(const char *script, const char *credential)
{
    char *command[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, (char *)script, NULL};
    struct registry_tool tool = {.command = command};
    struct outcome outcome = {0};
    uv_loop_t loop;
    start(&loop, &tool, json_pack("{s:i}", "n", 7), credential, &outcome);
    run_to_the_end(&loop);
    assert_int_equal(outcome.calls, 1);
    return outcome;
}

static void runs_built_in_tools(void **state)
{
    (void)state;
    struct registry_tool tool = {.built_in = &tool_calculator};
    struct outcome outcome = {0};
    uv_loop_t loop;
    start(&loop, &tool, json_pack("{s:s}", "expression", "6*7"), NULL, &outcome);
    run_to_the_end(&loop);
    assert_int_equal(outcome.calls, 1);
    assert_true(outcome.ok);
    assert_string_equal(outcome.text, "42");
}

static void abandons_built_in_tools(void **state)
{
    (void)state;
    struct registry_tool tool = {.built_in = &tool_calculator};
    struct outcome outcome = {0};
    uv_loop_t loop;
    struct run *run = start(&loop, &tool, json_pack("{s:s}", "expression", "6*7"), NULL, &outcome);
    run_abandon(&run);
    assert_null(run);
    run_to_the_end(&loop);
    assert_int_equal(outcome.calls, 0);
}

static void gives_back_what_a_command_writes(void **state)
{
    (void)state;
    static const struct {
        const char *script, *result;
    } cases[] = {
        {"cat", "{\"n\":7}"},
        {"echo ' [1, 2] '", "[1,2]"},
        {"echo plain text", "\"plain text\""},
        {"printf 'two\\nlines\\n'", "\"two\\nlines\""},
        {"true", "\"\""},
        {"echo \"$PARLEY_CREDENTIAL/$HOME\"", "\"secret/\""},
        {"exec <&-; sleep 0.05; echo 1", "1"},
        {"ls /proc/self/fd | wc -l | tr -d ' '", "4"}, /* three, and ls's own */
        {"sleep 60 & echo 5", "5"},                    /* who stays behind in the group is killed */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outcome outcome = run_shell(cases[i].script, "secret");
        if (!outcome.ok || strcmp(outcome.text, cases[i].result) != 0)
            fail_msg("%s: %s", cases[i].script, outcome.text);
    }
}

static void tells_how_a_command_failed(void **state)
{
    (void)state;
    static const struct {
        const char *script, *reason;
    } cases[] = {
        {"echo no such city >&2; echo more >&2; exit 3", "no such city"},
        {"exit 3", "the tool ended with status 3"},
        {"kill -9 $$", "the tool was ended by signal 9"},
        {"yes", "the tool's output is too large"},
        {"printf '\\377'", "the tool's output is not valid UTF-8"},
        {"yes >&2 & sleep 0.1; exit 1", "y"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outcome outcome = run_shell(cases[i].script, NULL);
        if (outcome.ok || strcmp(outcome.text, cases[i].reason) != 0)
            fail_msg("%s: %s", cases[i].script, outcome.text);
    }
}

static void tells_what_could_not_be_started(void **state)
{
    (void)state;
    char *command[] = {(char[]){"/nonexistent/tool"}, NULL};
    struct registry_tool tool = {.command = command};
    struct outcome outcome = {0};
    uv_loop_t loop;
    start(&loop, &tool, json_object(), NULL, &outcome);
    run_to_the_end(&loop);
    assert_int_equal(outcome.calls, 1);
    assert_false(outcome.ok);
    assert_string_equal(outcome.text, "the tool could not be started: no such file or directory");
}

static void wait_for_pid(const char *path, pid_t *pid)
{
    int64_t give_up = clock_monotonic_ms() + 10000;
    for (*pid = 0; *pid == 0 && clock_monotonic_ms() < give_up; usleep(1000)) {
        FILE *file = fopen(path, "re");
        if (!file)
            continue;
        if (fscanf(file, "%d\n", pid) != 1)
            *pid = 0;
        fclose(file);
    }
    assert_true(*pid > 0);
}

/* The child of the child dies with it; nobody is there to reap it here but init, so that it may stay a zombie. */
static bool is_alive(pid_t pid)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end && name_end[2] != 'Z';
}

static void kills_an_abandoned_command_with_its_children(void **state)
{
    (void)state;
    char path[] = "/tmp/parley-run-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    char script[256];
    snprintf(script, sizeof script, "sleep 60 & echo $! > %s; wait", path);
    char *command[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, script, NULL};
    struct registry_tool tool = {.command = command};
    struct outcome outcome = {0};
    uv_loop_t loop;
    struct run *run = start(&loop, &tool, json_object(), NULL, &outcome);
    pid_t pid;
    wait_for_pid(path, &pid);
    unlink(path);

    run_abandon(&run);
    run_to_the_end(&loop);
    assert_int_equal(outcome.calls, 0);
    int64_t give_up = clock_monotonic_ms() + 10000;
    while (is_alive(pid) && clock_monotonic_ms() < give_up)
        usleep(1000);
    assert_false(is_alive(pid));
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_built_in_tools),
        cmocka_unit_test(abandons_built_in_tools),
        cmocka_unit_test(gives_back_what_a_command_writes),
        cmocka_unit_test(tells_how_a_command_failed),
        cmocka_unit_test(tells_what_could_not_be_started),
        cmocka_unit_test(kills_an_abandoned_command_with_its_children),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
