#include "bus_queue.h"

#include "clock.h"
#include "mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct bus_command *bus_command_new(enum bus_command_kind kind)
{
    struct bus_command *command = mem_alloc(sizeof *command);
    command->kind = kind;
    return command;
}

static size_t texts_size(const char *subject, const char *reply, bus_headers headers)
{
    size_t size = strlen(subject) + 1;
    if (reply)
        size += strlen(reply) + 1;
    for (; headers && *headers; headers++)
        size += strlen(*headers) + 1;
    return size;
}

/* Copies `text` to `*at` and moves that behind it. */
static const char *place(char **at, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*at, text, size);
    *at += size;
    return copy;
}

struct bus_command *bus_command_publish(const char *subject, const char *reply, bus_headers headers,
                                        struct buf *payload)
{
    size_t size = sizeof(struct bus_command) + texts_size(subject, reply, headers);
    struct bus_command *command = mem_alloc(size);
    char *at = command->texts;
    command->kind = BUS_PUBLISH;
    command->subject = place(&at, subject);
    command->reply = reply ? place(&at, reply) : NULL;
    command->headers = headers && *headers ? at : NULL;
    for (; headers && headers[0]; headers += 2, command->header_count++) {
        place(&at, headers[0]);
        place(&at, headers[1]);
    }
    if (payload)
        buf_move(&command->payload, payload);
    command->bytes = size + command->payload.len;
    return command;
}

void bus_command_free(struct bus_command **command)
{
    if (!*command)
        return;
    buf_deinit(&(*command)->payload);
    free(*command);
    *command = NULL;
}

void bus_queue_init(struct bus_queue *queue, size_t limit_bytes)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&queue->lock, NULL);
    queue->first = NULL;
    queue->end = &queue->first;
    queue->nudged = false;
    atomic_init(&queue->bytes, 0);
    queue->limit_bytes = limit_bytes;
}

void bus_queue_deinit(struct bus_queue *queue)
{
    assert(!queue->first);
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->lock);
}

int bus_queue_push(struct bus_queue *queue, struct bus_command **command)
{
    struct bus_command *pushed = *command;
    /* Only the loop adds, so nobody else can use up the room between the question and the sum. */
    if (pushed->kind == BUS_PUBLISH && atomic_load(&queue->bytes) + pushed->bytes > queue->limit_bytes)
        return ERR_FULL;
    atomic_fetch_add(&queue->bytes, pushed->bytes);
    *command = NULL;
    pthread_mutex_lock(&queue->lock);
    bool was_empty = !queue->first;
    *queue->end = pushed;
    queue->end = &pushed->next;
    pthread_mutex_unlock(&queue->lock);
    if (was_empty)
        pthread_cond_signal(&queue->changed);
    return ERR_NONE;
}

/* False when the deadline has passed. */
static bool wait_for_change(struct bus_queue *queue, int64_t deadline_ms)
{
    if (deadline_ms < 0)
        return pthread_cond_wait(&queue->changed, &queue->lock) == 0;
    struct timespec until = {.tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000};
    return pthread_cond_timedwait(&queue->changed, &queue->lock, &until) == 0;
}

struct bus_command *bus_queue_take(struct bus_queue *queue, int64_t deadline_ms)
{
    pthread_mutex_lock(&queue->lock);
    while (!queue->first && !queue->nudged && wait_for_change(queue, deadline_ms))
        ;
    struct bus_command *taken = queue->first;
    queue->first = NULL;
    queue->end = &queue->first;
    queue->nudged = false;
    pthread_mutex_unlock(&queue->lock);
    return taken;
}

void bus_queue_finish(struct bus_queue *queue, struct bus_command **command)
{
    atomic_fetch_sub(&queue->bytes, (*command)->bytes);
    bus_command_free(command);
}

void bus_queue_nudge(struct bus_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->nudged = true;
    pthread_mutex_unlock(&queue->lock);
    pthread_cond_signal(&queue->changed);
}
