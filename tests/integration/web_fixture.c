/* A server on web.h for test_web_*.py and the bench: prints its port, ends cleanly on SIGTERM (also while everything is
 * open), stops listening on SIGUSR1.
 *
 *   web_fixture [max-connections [message-size-limit [body-size-limit [message-timeout-ms [budget]]]]]
 *
 * WebSocket /echo sends every message back, `!binary N` for one of N bytes that is binary, except for
 *   !big N           one message of N times x
 *   !many N M        N messages "<i>:<M times y>", one after the other
 *   !close C REASON  closes
 *   !ping            pings, and sends `!ponged` when the answer comes
 * WebSocket /refuse/S is refused with status S.
 * HTTP /http tells what it got; /later the same, 50 ms later; /never; /big?n=; /stream?n=&size=; /endless; /stats. */
#include "buf.h"
#include "mem.h"
#include "web.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    uv_loop_t loop;
    struct web *web;
    struct web_site *site;
    uv_signal_t term, usr;
    size_t opened, closed, requests, gone;
};

struct outgoing {
    struct outgoing *next;
    struct buf frame;
};

struct client {
    struct fixture *fixture;
    struct web_socket *socket;
    struct outgoing *first, **last;
    size_t many, many_next, many_size;
};

/* ---- WebSocket */

static int on_upgrade(void *arg, const struct web_head *head, const char **reason)
{
    (void)arg;
    if (!strncmp(head->path, "/refuse/", 8)) {
        *reason = "refused as asked";
        return atoi(head->path + 8);
    }
    return strcmp(head->path, "/echo") ? 404 : 0;
}

static struct buf *push(struct client *client)
{
    struct outgoing *outgoing = mem_alloc(sizeof *outgoing);
    web_frame_begin(&outgoing->frame);
    *client->last = outgoing;
    client->last = &outgoing->next;
    web_socket_want_write(client->socket);
    return &outgoing->frame;
}

static void *on_opened(void *arg, struct web_socket *socket, const struct web_head *head)
{
    struct client *client = mem_alloc(sizeof *client);
    client->fixture = arg;
    client->socket = socket;
    client->last = &client->first;
    client->fixture->opened++;
    if (web_head_argument(head, "hello"))
        buf_printf(push(client), "hello %s from %s on %u", web_head_argument(head, "hello"), head->peer, head->port);
    return client;
}

static void command(struct client *client, const char *text)
{
    unsigned code;
    int at = 0;
    size_t n, size;
    if (sscanf(text, "!big %zu", &n) == 1) {
        struct buf *frame = push(client);
        buf_reserve(frame, n);
        for (size_t i = 0; i < n; i++)
            buf_append_char(frame, 'x');
    } else if (sscanf(text, "!many %zu %zu", &n, &size) == 2) {
        client->many = n;
        client->many_size = size;
        web_socket_want_write(client->socket);
    } else if (sscanf(text, "!close %u %n", &code, &at) == 1) {
        web_socket_close(client->socket, (uint16_t)code, text + at, 5);
    } else if (!strcmp(text, "!ping")) {
        web_socket_ping(client->socket);
    }
}

static void on_received(void *connection, const char *bytes, size_t len, bool binary)
{
    struct client *client = connection;
    if (binary) {
        buf_printf(push(client), "!binary %zu", len);
    } else if (len > 0 && bytes[0] == '!') {
        char text[256];
        snprintf(text, sizeof text, "%.*s", (int)len, bytes);
        command(client, text);
    } else {
        buf_append(push(client), bytes, len);
    }
}

static void send_frame(struct client *client, struct buf *frame)
{
    int err = web_socket_send(client->socket, frame);
    if (err && err != ERR_CLOSED)
        abort();
    buf_deinit(frame);
}

static void on_writable(void *connection)
{
    struct client *client = connection;
    struct outgoing *outgoing = client->first;
    if (outgoing) {
        client->first = outgoing->next;
        if (!client->first)
            client->last = &client->first;
        send_frame(client, &outgoing->frame);
        free(outgoing);
    } else if (client->many_next < client->many) {
        struct buf frame = {0};
        web_frame_begin(&frame);
        buf_printf(&frame, "%zu:", client->many_next++);
        for (size_t i = 0; i < client->many_size; i++)
            buf_append_char(&frame, 'y');
        send_frame(client, &frame);
    }
    if (client->first || client->many_next < client->many)
        web_socket_want_write(client->socket);
}

static void on_ponged(void *connection)
{
    struct client *client = connection;
    buf_append_text(push(client), "!ponged");
}

static void on_closed(void *connection)
{
    struct client *client = connection;
    client->fixture->closed++;
    while (client->first) {
        struct outgoing *outgoing = client->first;
        client->first = outgoing->next;
        buf_deinit(&outgoing->frame);
        free(outgoing);
    }
    free(client);
}

/* ---- HTTP */

/* An answer that takes its time. */
struct slow {
    uv_timer_t timer;
    struct fixture *fixture;
    struct web_exchange *exchange; /* NULL when it is over */
    struct buf answer;
    size_t left, size; /* pieces to stream, and their size */
};

static void free_slow(uv_handle_t *handle)
{
    struct slow *slow = handle->data;
    buf_deinit(&slow->answer);
    free(slow);
}

static void on_ended(void *arg, bool gone)
{
    struct slow *slow = arg;
    slow->exchange = NULL;
    slow->fixture->gone += gone;
    if (!uv_is_closing((uv_handle_t *)&slow->timer))
        uv_close((uv_handle_t *)&slow->timer, free_slow);
}

static struct slow *slow_new(struct fixture *fixture, struct web_exchange *exchange, uv_timer_cb callback,
                             uint64_t every_ms)
{
    struct slow *slow = mem_alloc(sizeof *slow);
    slow->fixture = fixture;
    slow->exchange = exchange;
    uv_timer_init(&fixture->loop, &slow->timer);
    slow->timer.data = slow;
    web_exchange_on_end(exchange, on_ended, slow);
    if (callback)
        uv_timer_start(&slow->timer, callback, every_ms, every_ms);
    return slow;
}

static void on_later(uv_timer_t *timer)
{
    struct slow *slow = timer->data;
    uv_timer_stop(timer);
    web_respond(slow->exchange, 200, "text/plain", NULL, &slow->answer);
}

static void on_piece(uv_timer_t *timer)
{
    struct slow *slow = timer->data;
    struct buf piece = {0};
    if (web_stream_pending(slow->exchange) > (1 << 20))
        return;
    buf_reserve(&piece, slow->size);
    for (size_t i = 0; i < slow->size; i++)
        buf_append_char(&piece, 's');
    web_stream_write(slow->exchange, &piece);
    if (slow->left-- > 1)
        return;
    uv_timer_stop(timer);
    web_stream_end(slow->exchange);
}

static size_t number(const struct web_head *head, const char *name)
{
    const char *text = web_head_argument(head, name);
    return text ? strtoul(text, NULL, 10) : 0;
}

static void describe(struct buf *out, const struct web_head *head, const char *body, size_t len)
{
    const char *a = web_head_argument(head, "a");
    const char *type = web_head_header(head, "content-type");
    buf_printf(out, "%s %s a=%s type=%s %zu:", head->method, head->path, a ? a : "-", type ? type : "-", len);
    buf_append(out, body, len);
}

static void respond_stats(struct fixture *fixture, struct web_exchange *exchange)
{
    struct buf body = {0};
    buf_printf(&body, "{\"opened\":%zu,\"closed\":%zu,\"requests\":%zu,\"gone\":%zu,\"count\":%zu}", fixture->opened,
               fixture->closed, fixture->requests, fixture->gone, web_socket_count(fixture->web));
    web_respond(exchange, 200, "application/json", NULL, &body);
}

static void on_request(void *arg, struct web_exchange *exchange, const struct web_head *head, const char *body,
                       size_t len)
{
    static const char *const headers[] = {"X-Fixture", "yes\r\nX-Injected: no", NULL};
    struct fixture *fixture = arg;
    struct buf answer = {0};
    fixture->requests++;
    if (!strcmp(head->path, "/stats")) {
        respond_stats(fixture, exchange);
    } else if (!strcmp(head->path, "/later")) {
        struct slow *slow = slow_new(fixture, exchange, on_later, 50);
        describe(&slow->answer, head, body, len);
    } else if (!strcmp(head->path, "/never")) {
        slow_new(fixture, exchange, NULL, 0);
    } else if (!strcmp(head->path, "/stream") || !strcmp(head->path, "/endless")) {
        struct slow *slow = slow_new(fixture, exchange, on_piece, 1);
        slow->left = strcmp(head->path, "/stream") ? SIZE_MAX : number(head, "n");
        slow->size = number(head, "size");
        web_stream_begin(exchange, 200, "text/event-stream");
    } else if (!strcmp(head->path, "/big")) {
        size_t n = number(head, "n");
        buf_reserve(&answer, n);
        memset(answer.data, 'b', n);
        answer.len = n;
        web_respond(exchange, 200, "text/plain", NULL, &answer);
    } else {
        describe(&answer, head, body, len);
        web_respond(exchange, strncmp(head->path, "/http", 5) ? 404 : 200, "text/plain", headers, &answer);
    }
}

/* ---- */

static void on_term(uv_signal_t *handle, int number)
{
    (void)number;
    struct fixture *fixture = handle->data;
    web_free(&fixture->web);
    uv_close((uv_handle_t *)&fixture->term, NULL);
    uv_close((uv_handle_t *)&fixture->usr, NULL);
}

static void on_usr(uv_signal_t *handle, int number)
{
    (void)number;
    struct fixture *fixture = handle->data;
    web_stop_listening(fixture->web, fixture->site);
}

static const struct web_handlers handlers = {
    .upgrade = on_upgrade,
    .opened = on_opened,
    .received = on_received,
    .writable = on_writable,
    .ponged = on_ponged,
    .closed = on_closed,
    .request = on_request,
};

static int64_t option(int argc, char **argv, int index, int64_t fallback)
{
    return argc > index ? atoll(argv[index]) : fallback;
}

int main(int argc, char **argv)
{
    struct fixture fixture = {0};
    struct web_listener *listener;
    struct budget budget = {.max = (size_t)option(argc, argv, 5, 1 << 30)};
    const struct web_options options = {
        .max_connections = option(argc, argv, 1, 15000),
        .message_size_limit = option(argc, argv, 2, 1 << 20),
        .body_size_limit = option(argc, argv, 3, 8 << 20),
        .message_timeout_ms = option(argc, argv, 4, 60000),
        .budget = &budget,
    };
    uv_loop_init(&fixture.loop);
    fixture.web = web_new(&fixture.loop, &options);
    fixture.site = web_site_new(fixture.web, &handlers, &fixture);
    if (web_listen(fixture.web, fixture.site, "127.0.0.1", 0, false, &listener))
        return 1;
    uv_signal_init(&fixture.loop, &fixture.term);
    uv_signal_init(&fixture.loop, &fixture.usr);
    fixture.term.data = fixture.usr.data = &fixture;
    uv_signal_start(&fixture.term, on_term, SIGTERM);
    uv_signal_start(&fixture.usr, on_usr, SIGUSR1);
    printf("%u\n", web_listener_port(listener));
    fflush(stdout);
    uv_run(&fixture.loop, UV_RUN_DEFAULT);
    if (fixture.opened != fixture.closed)
        return 2;
    return uv_loop_close(&fixture.loop) ? 3 : 0;
}
