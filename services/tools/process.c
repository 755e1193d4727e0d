#include "process.h"

#include "mem.h"

#include <assert.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define ERRORS_MAX_BYTES 4096
#define READ_BYTES       16384

enum { STDIN, STDOUT, STDERR, PIPES };

/*   running --child ended, stdout and stderr read to their ends--> reported --handles closed--> freed
 *      |
 *      +--could not be started: handles closed--> reported, freed
 *      +--process_kill()--> killed --child ended, handles closed--> freed */
struct process {
    uv_process_t child;
    uv_pipe_t pipes[PIPES];
    uv_write_t write;
    struct buf input, output, errors;
    size_t max_output;
    int handles;      /* not closed yet */
    int open_outputs; /* stdout and stderr, not at their ends */
    bool running, killed, too_large;
    int start_error; /* of libuv; 0: it was started */
    int64_t status;
    int signal;
    process_done *done;
    void *arg;
    char chunk[READ_BYTES];
};

static void kill_group(const struct process *process)
{
    if (process->running)
        kill(-process->child.pid, SIGKILL);
}

static void report(struct process *process)
{
    if (!process->done)
        return;
    struct process_result result = {.status = (int)process->status,
                                    .signal = process->signal,
                                    .output = &process->output,
                                    .errors = &process->errors};
    if (process->start_error) {
        result.err = ERR_SYSTEM;
        result.text = uv_strerror(process->start_error);
    } else if (process->too_large) {
        result.err = ERR_TOO_LARGE;
    } else if (process->status != 0 || process->signal != 0) {
        result.err = ERR_REFUSED;
    }
    process_done *done = process->done;
    process->done = NULL;
    done(process->arg, &result);
}

static void on_closed(uv_handle_t *handle)
{
    struct process *process = handle->data;
    if (--process->handles > 0)
        return;
    report(process); /* only what could not be started is still to be reported */
    buf_deinit(&process->input);
    buf_deinit(&process->output);
    buf_deinit(&process->errors);
    free(process);
}

static void close_handle(void *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

static void close_pipes(struct process *process)
{
    for (int i = 0; i < PIPES; i++)
        close_handle(&process->pipes[i]);
}

static void finish_if_ended(struct process *process)
{
    if (process->running || process->open_outputs > 0)
        return;
    report(process);
    close_pipes(process);
}

/* Whoever the child has left behind in its group must not keep the pipes open. The group's number can't have been given
 * to others yet: the child is reaped right before this is called. */
static void on_exit_of_child(uv_process_t *child, int64_t status, int signal)
{
    struct process *process = child->data;
    kill_group(process);
    process->running = false;
    process->status = status;
    process->signal = signal;
    close_handle(child);
    if (!process->killed)
        finish_if_ended(process);
}

static void give_chunk(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct process *process = handle->data;
    *buf = uv_buf_init(process->chunk, sizeof process->chunk);
}

static void end_output(struct process *process, uv_stream_t *stream)
{
    close_handle(stream);
    process->open_outputs--;
    finish_if_ended(process);
}

static void on_output(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct process *process = stream->data;
    if (len < 0) {
        end_output(process, stream);
        return;
    }
    if (process->output.len + (size_t)len > process->max_output) {
        process->too_large = true;
        kill_group(process);
        end_output(process, stream);
        return;
    }
    buf_append(&process->output, buf->base, (size_t)len);
}

static void on_errors(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct process *process = stream->data;
    if (len < 0) {
        end_output(process, stream);
        return;
    }
    size_t room = ERRORS_MAX_BYTES - process->errors.len;
    buf_append(&process->errors, buf->base, (size_t)len < room ? (size_t)len : room);
}

/* Also when the child has closed its end unread: that is its own affair. */
static void on_input_written(uv_write_t *write, int status)
{
    (void)status;
    struct process *process = write->data;
    close_handle(&process->pipes[STDIN]);
}

static int spawn(uv_loop_t *loop, struct process *process, const struct process_options *options)
{
    uv_stdio_container_t stdio[PIPES] = {
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&process->pipes[STDIN]},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&process->pipes[STDOUT]},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&process->pipes[STDERR]},
    };
    uv_process_options_t child = {
        .exit_cb = on_exit_of_child,
        .file = options->argv[0],
        .args = (char **)options->argv,
        .env = (char **)options->env,
        .flags = UV_PROCESS_DETACHED,
        .stdio = stdio,
        .stdio_count = PIPES,
    };
    /* Not every library opens its sockets close-on-exec, and a tool must not hold the broker's. Where the kernel
     * doesn't know this (before 5.11) there is nothing to be done about it here. */
    (void)close_range(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC);
    return uv_spawn(loop, &process->child, &child);
}

static void begin_transfer(struct process *process)
{
    process->running = true;
    process->open_outputs = 2;
    uv_read_start((uv_stream_t *)&process->pipes[STDOUT], give_chunk, on_output);
    uv_read_start((uv_stream_t *)&process->pipes[STDERR], give_chunk, on_errors);
    uv_buf_t input = uv_buf_init(process->input.data, (unsigned)process->input.len);
    process->write.data = process;
    if (uv_write(&process->write, (uv_stream_t *)&process->pipes[STDIN], &input, 1, on_input_written) != 0)
        close_handle(&process->pipes[STDIN]);
}

struct process *process_start(uv_loop_t *loop, const struct process_options *options, struct buf *input,
                              process_done *done, void *arg)
{
    struct process *process = mem_alloc(sizeof *process);
    buf_move(&process->input, input);
    process->max_output = options->max_output;
    process->done = done;
    process->arg = arg;
    for (int i = 0; i < PIPES; i++) {
        uv_pipe_init(loop, &process->pipes[i], 0);
        process->pipes[i].data = process;
    }
    process->child.data = process;
    process->handles = PIPES + 1;
    process->start_error = spawn(loop, process, options);
    if (process->start_error) {
        close_handle(&process->child);
        close_pipes(process);
    } else {
        begin_transfer(process);
    }
    return process;
}

void process_kill(struct process **process)
{
    struct process *p = *process;
    if (!p)
        return;
    *process = NULL;
    assert(!p->killed);
    p->done = NULL;
    p->killed = true;
    kill_group(p);
    close_pipes(p); /* the child's own handle stays until it has been reaped */
}
