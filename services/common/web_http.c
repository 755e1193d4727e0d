/* A connection while it speaks HTTP/1: one request after the other, pipelined or not.
 *
 *          +---------------- sent, kept alive ----------------+
 *          v                                                  |
 *   --> HEAD --whole--> BODY --whole--> ANSWER --the rest-----+
 *        | |              |                |
 *        | |              |                +-- sent, not kept alive --+
 *        | +---- bad -----+---- bad, too large, too slow -----------> LINGER --> closed
 *        +-- upgrade accepted --> web_socket.c
 *
 * LINGER: a socket closed while it holds unread bytes resets the connection, and takes the response with it. So what
 * still comes is read and thrown away, for a moment. */
#include "web_private.h"

#include "clock.h"
#include "mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_TIMEOUT_MS       10000 /* for a whole head, from its first byte */
#define KEEP_ALIVE_TIMEOUT_MS 60000 /* between two requests */
#define PROGRESS_TIMEOUT_MS   20000 /* without a byte of the body coming, or of the response going */
#define LINGER_TIMEOUT_MS     2000

#define READ_SIZE   4096
#define BODY_READ   65536
#define STEP_ROUNDS 16 /* pipelined requests in one turn */

enum step { STEP_AGAIN, STEP_WAIT, STEP_GONE };

static void advance(struct web_http *http);

static void set_deadline(struct web_http *http, int64_t in_ms)
{
    http->deadline_ms = in_ms ? clock_monotonic_ms() + in_ms : 0;
}

struct web_head web_http_head(struct web_http *http)
{
    return (struct web_head){
        .method = http->head.method, .path = http->head.path, .peer = http->peer, .port = http->port, .native = http};
}

static void end_exchange(struct web_http *http, bool gone)
{
    struct web_exchange ended = http->exchange;
    if (!ended.open)
        return;
    http->exchange = (struct web_exchange){.http = http};
    http->web->exchanges--;
    if (ended.ended)
        ended.ended(ended.arg, gone);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct web_http *http = handle->data;
    buf_deinit(&http->in);
    buf_deinit(&http->head_bytes);
    buf_deinit(&http->out);
    buf_deinit(&http->body);
    free(http);
}

/* The memory goes when the loop has let go of the handle; until then the head may still be looked at. */
static void release(struct web_http *http)
{
    web_link_remove(&http->link);
    web_link_remove(&http->turn.link);
    http->web->connections--;
    if (http->refused)
        http->web->refused--;
    budget_release(http->web->options.budget, &http->held);
    uv_close((uv_handle_t *)&http->poll, on_poll_closed);
}

void web_http_close(struct web_http *http)
{
    end_exchange(http, true);
    int fd = http->fd;
    release(http);
    close(fd);
}

static void begin_linger(struct web_http *http)
{
    http->state = WEB_HTTP_LINGER;
    buf_deinit(&http->in);
    budget_release(http->web->options.budget, &http->held);
    set_deadline(http, PROGRESS_TIMEOUT_MS);
}

static void refuse(struct web_http *http, int status, const char *reason)
{
    http->head.keep_alive = false;
    web_response_refuse(http, status, reason);
    begin_linger(http);
}

/* ---- reading */

/* How much more may be taken in now. */
static size_t read_room(const struct web_http *http)
{
    switch (http->state) {
    case WEB_HTTP_BODY:
        return http->in.len < (size_t)http->head.content_length ? (size_t)http->head.content_length - http->in.len : 0;
    case WEB_HTTP_LINGER:
        return READ_SIZE;
    default:
        return http->in.len < HTTP_HEAD_MAX ? HTTP_HEAD_MAX - http->in.len : 0;
    }
}

/* False when the connection is broken. */
static bool read_some(struct web_http *http)
{
    size_t want = http->state == WEB_HTTP_BODY ? BODY_READ : READ_SIZE;
    size_t room = read_room(http);
    if (want > room)
        want = room;
    buf_reserve(&http->in, want);
    ssize_t n = recv(http->fd, http->in.data + http->in.len, want, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        http->read_end = true;
    if (http->state == WEB_HTTP_LINGER)
        return true;
    if (n > 0 && http->state == WEB_HTTP_HEAD && http->in.len == 0)
        set_deadline(http, HEAD_TIMEOUT_MS);
    else if (n > 0 && http->state == WEB_HTTP_BODY)
        set_deadline(http, PROGRESS_TIMEOUT_MS);
    http->in.len += (size_t)n;
    http->in.data[http->in.len] = '\0';
    return true;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct web_http *http = poll->data;
    /* The handle has stopped polling by itself if there was an error. */
    if (status < 0 || ((events & UV_READABLE) && !read_some(http))) {
        web_http_close(http);
        return;
    }
    advance(http);
}

static void poll_for(struct web_http *http)
{
    int events = !http->read_end && read_room(http) > 0 ? UV_READABLE : 0;
    if (!web_response_sent(http))
        events |= UV_WRITABLE;
    if (events == http->events)
        return;
    http->events = events;
    uv_poll_start(&http->poll, events, on_poll);
}

/* ---- requests */

static enum step upgrade(struct web_http *http)
{
    const struct web_handlers *handlers = http->site->handlers;
    struct web_head head = web_http_head(http);
    const char *reason = NULL;
    int status = http_head_check_websocket(&http->head);
    if (!status)
        status = handlers->upgrade ? handlers->upgrade(http->site->arg, &head, &reason) : 404;
    if (status) {
        refuse(http, status, reason);
        return STEP_AGAIN;
    }
    release(http); /* stops polling, so that the library can */
    web_lws_adopt(http->web->lws, http, http->fd, http->in.data, http->in.len);
    return STEP_GONE;
}

/* What stands after the body is the next request's. */
static void take_body(struct web_http *http, struct buf *body)
{
    size_t len = (size_t)http->head.content_length;
    if (len > 0 && len == http->in.len) {
        buf_move(body, &http->in);
        return;
    }
    buf_append(body, http->in.data, len);
    buf_consume(&http->in, len);
}

static void hand_over(struct web_http *http)
{
    const struct web_handlers *handlers = http->site->handlers;
    http->state = WEB_HTTP_ANSWER;
    set_deadline(http, 0);
    http->exchange = (struct web_exchange){.open = true, .http = http, .bodiless = !strcmp(http->head.method, "HEAD")};
    http->web->exchanges++;
    struct buf body = {0};
    take_body(http, &body);
    if (handlers->request) {
        struct web_head head = web_http_head(http);
        handlers->request(http->site->arg, &http->exchange, &head, body.data, body.len);
    } else {
        web_respond(&http->exchange, 404, NULL, NULL, NULL);
    }
    buf_deinit(&body);
    budget_release(http->web->options.budget, &http->held);
}

/* The head has been found: `len` bytes of `in`. */
static enum step take_head(struct web_http *http, size_t len)
{
    buf_reset(&http->head_bytes);
    buf_append(&http->head_bytes, http->in.data, len);
    buf_consume(&http->in, len);
    http->scanned = 0;
    int status = http_head_parse(&http->head, http->head_bytes.data, len);
    if (!status && http->head.content_length > http->web->options.body_size_limit)
        status = 413;
    if (status) {
        refuse(http, status, NULL);
        return STEP_AGAIN;
    }
    if (http->head.websocket)
        return upgrade(http);
    http->state = WEB_HTTP_BODY;
    set_deadline(http, PROGRESS_TIMEOUT_MS);
    if (http->head.expect_continue && http->head.content_length > 0 && http->in.len == 0)
        buf_append_text(&http->out, "HTTP/1.1 100 Continue\r\n\r\n");
    return STEP_AGAIN;
}

static enum step read_head(struct web_http *http)
{
    /* Empty lines before a request are to be ignored (RFC 9112, section 2.2). */
    size_t blank = http->in.len > 0 ? strspn(http->in.data, "\r\n") : 0;
    if (blank > 0 && http->scanned == 0)
        buf_consume(&http->in, blank);
    size_t len = http_head_find(http->in.data, http->in.len, &http->scanned);
    if (len > 0)
        return take_head(http, len);
    if (http->in.len >= HTTP_HEAD_MAX) {
        refuse(http, 431, NULL);
        return STEP_AGAIN;
    }
    if (http->read_end) {
        web_http_close(http);
        return STEP_GONE;
    }
    return STEP_WAIT;
}

static enum step read_body(struct web_http *http)
{
    if (http->in.len >= (size_t)http->head.content_length) {
        hand_over(http);
        return STEP_AGAIN;
    }
    if (http->read_end) {
        web_http_close(http);
        return STEP_GONE;
    }
    if (!budget_grow(http->web->options.budget, &http->held, http->in.cap)) {
        refuse(http, 503, NULL);
        return STEP_AGAIN;
    }
    return STEP_WAIT;
}

static enum step await_answer(struct web_http *http)
{
    if (!http->exchange.answered && http->read_end) {
        web_http_close(http); /* tells the site that the client has gone */
        return STEP_GONE;
    }
    if (!http->exchange.answered || !web_response_sent(http))
        return STEP_WAIT;
    end_exchange(http, false);
    if (!http->head.keep_alive) {
        begin_linger(http);
        return STEP_AGAIN;
    }
    http->state = WEB_HTTP_HEAD;
    buf_deinit(&http->head_bytes);
    set_deadline(http, http->in.len > 0 ? HEAD_TIMEOUT_MS : KEEP_ALIVE_TIMEOUT_MS);
    if (http->in.len == 0)
        buf_deinit(&http->in);
    return STEP_AGAIN;
}

static enum step linger(struct web_http *http)
{
    if (!web_response_sent(http))
        return STEP_WAIT;
    if (http->read_end) {
        web_http_close(http);
        return STEP_GONE;
    }
    if (!http->shut) {
        http->shut = true;
        shutdown(http->fd, SHUT_WR);
        set_deadline(http, LINGER_TIMEOUT_MS);
    }
    return STEP_WAIT;
}

static enum step step(struct web_http *http)
{
    switch (http->state) {
    case WEB_HTTP_HEAD:
        return read_head(http);
    case WEB_HTTP_BODY:
        return read_body(http);
    case WEB_HTTP_ANSWER:
        return await_answer(http);
    case WEB_HTTP_LINGER:
        return linger(http);
    }
    return STEP_WAIT;
}

/* Goes on as far as what has come, and what the socket takes, allows. */
static void advance(struct web_http *http)
{
    for (int i = 0; i < STEP_ROUNDS; i++) {
        size_t before = http->sent;
        if (web_response_flush(http)) {
            web_http_close(http);
            return;
        }
        if (!web_response_sent(http) && (http->sent != before || http->deadline_ms == 0))
            set_deadline(http, PROGRESS_TIMEOUT_MS);
        else if (web_response_sent(http) && http->state == WEB_HTTP_ANSWER)
            set_deadline(http, 0);
        switch (step(http)) {
        case STEP_GONE:
            return;
        case STEP_WAIT:
            poll_for(http);
            return;
        case STEP_AGAIN:
            break;
        }
    }
    poll_for(http);
    web_turn_queue(http->web, &http->turn);
}

static void run_turn(struct web_turn *turn)
{
    advance((struct web_http *)turn);
}

void web_http_tick(struct web_http *http, int64_t now_ms)
{
    if (http->deadline_ms == 0 || now_ms < http->deadline_ms)
        return;
    bool late_head = http->state == WEB_HTTP_HEAD && http->in.len > 0;
    if ((late_head || http->state == WEB_HTTP_BODY) && web_response_sent(http)) {
        refuse(http, 408, NULL);
        advance(http);
    } else {
        web_http_close(http);
    }
}

static void format_peer(struct web_http *http, const struct sockaddr *peer)
{
    if (peer->sa_family == AF_INET6)
        uv_ip6_name((const struct sockaddr_in6 *)peer, http->peer, sizeof http->peer);
    else if (peer->sa_family == AF_INET)
        uv_ip4_name((const struct sockaddr_in *)peer, http->peer, sizeof http->peer);
    if (!strncmp(http->peer, "::ffff:", 7) && strchr(http->peer, '.'))
        memmove(http->peer, http->peer + 7, strlen(http->peer + 7) + 1);
}

void web_http_new(struct web_listener *listener, int fd, const struct sockaddr *peer, int refusal)
{
    struct web *web = listener->web;
    struct web_http *http = mem_alloc(sizeof *http);
    http->turn.run = run_turn;
    http->web = web;
    http->site = listener->site;
    http->port = listener->port;
    http->fd = fd;
    http->poll.data = http;
    http->exchange.http = http;
    format_peer(http, peer);
    uv_poll_init(web->loop, &http->poll, fd);
    web_link_append(&web->https, &http->link);
    web->connections++;
    set_deadline(http, HEAD_TIMEOUT_MS);
    if (refusal) {
        http->refused = true;
        web->refused++;
        refuse(http, refusal, NULL);
    }
    advance(http);
}
