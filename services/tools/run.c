#include "run.h"

#include "clock.h"
#include "json.h"
#include "mem.h"
#include "process.h"
#include "utf8.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_LINE_MAX_BYTES 500
#define ENVIRONMENT_MAX      5

struct run {
    const struct registry_tool *tool;
    size_t max_output;
    run_done *done; /* NULL: abandoned */
    void *arg;
    struct buf result;
    struct process *process; /* of a command */
    /* of a built-in tool; while it works these belong to the thread, with `result`: */
    uv_work_t work;
    json_t *arguments;
    int64_t now_ms;
    int err;
};

static void free_run(struct run *run)
{
    json_decref(run->arguments);
    buf_deinit(&run->result);
    free(run);
}

static void finish(struct run *run, bool ok)
{
    if (run->done)
        run->done(run->arg, ok, &run->result);
    free_run(run);
}

static void finish_failed(struct run *run, const char *text)
{
    buf_reset(&run->result);
    buf_append_text(&run->result, text);
    finish(run, false);
}

/* ---- Built-in tools */

static void work(uv_work_t *request)
{
    struct run *run = request->data;
    const struct tool_input input = {.arguments = run->arguments, .now_ms = run->now_ms};
    run->err = run->tool->built_in->run(&input, &run->result);
}

static void after_work(uv_work_t *request, int status)
{
    struct run *run = request->data;
    if (status == UV_ECANCELED) /* only run_abandon() does that */
        free_run(run);
    else if (!run->err && run->result.len > run->max_output)
        finish_failed(run, "the tool's result is too large");
    else
        finish(run, !run->err);
}

static void start_built_in(uv_loop_t *loop, struct run *run)
{
    run->now_ms = clock_wall_ms();
    run->work.data = run;
    int err = uv_queue_work(loop, &run->work, work, after_work);
    assert(err == 0);
    (void)err;
}

/* ---- Commands */

/* JSON stays as it is, but for its white space at both ends; any other text becomes a JSON string. */
static void finish_with_output(struct run *run, const struct buf *output)
{
    json_t *value = NULL;
    if (output->len == 0 || json_parse(output->data, output->len, NULL, 0, &value)) {
        size_t len = output->len;
        while (len > 0 && (output->data[len - 1] == '\n' || output->data[len - 1] == '\r'))
            len--;
        if (!utf8_valid(output->data, len)) {
            finish_failed(run, "the tool's output is not valid UTF-8");
            return;
        }
        value = json_text(len > 0 ? output->data : "", len);
    }
    json_append_take(&run->result, value);
    finish(run, true);
}

/* The first line of what the command said about its failure. */
static void finish_with_status(struct run *run, const struct process_result *result)
{
    const struct buf *errors = result->errors;
    const char *end = errors->len > 0 ? memchr(errors->data, '\n', errors->len) : NULL;
    size_t len = end ? (size_t)(end - errors->data) : errors->len;
    if (len > 0 && utf8_valid(errors->data, len) && !utf8_blank(errors->data, len))
        buf_append(&run->result, errors->data, utf8_cut(errors->data, len, ERROR_LINE_MAX_BYTES));
    else if (result->signal)
        buf_printf(&run->result, "the tool was ended by signal %d", result->signal);
    else
        buf_printf(&run->result, "the tool ended with status %d", result->status);
    finish(run, false);
}

static void on_process_done(void *arg, const struct process_result *result)
{
    struct run *run = arg;
    run->process = NULL;
    if (result->err == ERR_NONE) {
        finish_with_output(run, result->output);
    } else if (result->err == ERR_REFUSED) {
        finish_with_status(run, result);
    } else if (result->err == ERR_TOO_LARGE) {
        finish_failed(run, "the tool's output is too large");
    } else {
        buf_printf(&run->result, "the tool could not be started: %s", result->text);
        finish(run, false);
    }
}

static void start_command(uv_loop_t *loop, struct run *run, const struct run_options *options)
{
    const char *path = getenv("PATH");
    struct buf path_entry = {0}, credential_entry = {0}, trace_entry = {0};
    buf_printf(&path_entry, "PATH=%s", path ? path : "/usr/local/bin:/usr/bin:/bin");
    buf_printf(&credential_entry, "PARLEY_CREDENTIAL=%s", options->credential ? options->credential : "");
    char trace[TRACE_TEXT_SIZE];
    char *environment[ENVIRONMENT_MAX] = {path_entry.data, (char[]){"LANG=C.UTF-8"}};
    size_t count = 2;
    if (options->credential)
        environment[count++] = credential_entry.data;
    if (options->trace) {
        trace_next(options->trace, trace);
        buf_printf(&trace_entry, "TRACEPARENT=%s", trace);
        environment[count++] = trace_entry.data;
    }
    const struct process_options process = {
        .argv = run->tool->command, .env = environment, .max_output = run->max_output};
    struct buf input = {0};
    json_append(&input, run->arguments);
    run->process = process_start(loop, &process, &input, on_process_done, run);
    buf_deinit(&path_entry);
    buf_deinit(&credential_entry);
    buf_deinit(&trace_entry);
}

struct run *run_start(uv_loop_t *loop, const struct run_options *options, json_t **arguments, run_done *done, void *arg)
{
    struct run *run = mem_alloc(sizeof *run);
    run->tool = options->tool;
    run->max_output = options->max_output;
    run->arguments = *arguments;
    *arguments = NULL;
    run->done = done;
    run->arg = arg;
    if (run->tool->built_in)
        start_built_in(loop, run);
    else
        start_command(loop, run, options);
    return run;
}

void run_abandon(struct run **run)
{
    struct run *r = *run;
    if (!r)
        return;
    *run = NULL;
    r->done = NULL;
    if (r->process) {
        process_kill(&r->process);
        free_run(r);
    } else {
        (void)uv_cancel((uv_req_t *)&r->work); /* works only while it waits for a thread; else after_work() frees it */
    }
}
