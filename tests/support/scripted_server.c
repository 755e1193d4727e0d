#include "scripted_server.h"

#include "mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct peer {
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_write_t write;
    struct scripted_server *server;
    struct buf request;
    const struct reply *reply; /* NULL: none under way */
    size_t at;
    bool closing;
    char read[65536];
};

static void free_listener(uv_handle_t *handle)
{
    (void)handle;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct peer *peer = handle->data;
    buf_deinit(&peer->request);
    free(peer);
}

static void on_tcp_closed(uv_handle_t *handle)
{
    struct peer *peer = handle->data;
    uv_close((uv_handle_t *)&peer->timer, on_timer_closed);
}

static void hang_up(struct peer *peer)
{
    if (peer->closing)
        return;
    peer->closing = true;
    peer->server->open--;
    uv_close((uv_handle_t *)&peer->tcp, on_tcp_closed);
}

static void write_next(struct peer *peer);

static void on_pause_over(uv_timer_t *timer)
{
    write_next(timer->data);
}

static void on_written(uv_write_t *write, int status)
{
    struct peer *peer = write->data;
    if (peer->closing || status < 0)
        return;
    if (peer->reply->pause_ms > 0)
        uv_timer_start(&peer->timer, on_pause_over, peer->reply->pause_ms, 0);
    else
        write_next(peer);
}

static void write_next(struct peer *peer)
{
    const struct reply *reply = peer->reply;
    if (peer->closing)
        return;
    if (reply->repeat && peer->at == reply->bytes.len)
        peer->at = 0;
    if (peer->at == reply->bytes.len) {
        peer->reply = NULL;
        if (reply->close)
            hang_up(peer);
        return;
    }
    size_t len = reply->bytes.len - peer->at;
    if (reply->step > 0 && reply->step < len)
        len = reply->step;
    uv_buf_t piece = uv_buf_init(reply->bytes.data + peer->at, (unsigned)len);
    peer->at += len;
    peer->write.data = peer;
    uv_write(&peer->write, (uv_stream_t *)&peer->tcp, &piece, 1, on_written);
}

/* Answers once the whole request is there. */
static void take_request(struct peer *peer)
{
    struct scripted_server *server = peer->server;
    char *end = peer->request.data ? strstr(peer->request.data, "\r\n\r\n") : NULL;
    char *length = end ? strcasestr(peer->request.data, "content-length:") : NULL;
    if (!length)
        return;
    size_t head = (size_t)(end + 4 - peer->request.data);
    size_t body = strtoul(length + strlen("content-length:"), NULL, 10);
    if (peer->request.len < head + body)
        return;
    *end = '\0';
    server->last_had_key = strstr(peer->request.data, "Authorization: Bearer ") != NULL;
    buf_reset(&server->last_request);
    buf_append(&server->last_request, peer->request.data + head, body);
    buf_consume(&peer->request, head + body);
    size_t number = (size_t)server->requests++;
    assert(server->reply_count > 0);
    peer->reply = &server->replies[number < server->reply_count ? number : server->reply_count - 1];
    peer->at = 0;
    write_next(peer);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct peer *peer = handle->data;
    (void)suggested;
    *buf = uv_buf_init(peer->read, sizeof peer->read);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct peer *peer = stream->data;
    if (len < 0) {
        hang_up(peer);
        return;
    }
    buf_append(&peer->request, buf->base, (size_t)len);
    take_request(peer);
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct scripted_server *server = stream->data;
    if (status != 0)
        abort();
    struct peer *peer = mem_alloc(sizeof *peer);
    peer->server = server;
    uv_tcp_init(stream->loop, &peer->tcp);
    uv_timer_init(stream->loop, &peer->timer);
    peer->tcp.data = peer;
    peer->timer.data = peer;
    server->accepted++;
    server->open++;
    uv_accept(stream, (uv_stream_t *)&peer->tcp);
    uv_tcp_nodelay(&peer->tcp, 1);
    uv_read_start((uv_stream_t *)&peer->tcp, on_alloc, on_read);
}

void scripted_server_start(struct scripted_server *server, uv_loop_t *loop)
{
    struct sockaddr_in address;
    int address_len = sizeof address;
    *server = (struct scripted_server){0};
    uv_tcp_init(loop, &server->listener);
    server->listener.data = server;
    uv_ip4_addr("127.0.0.1", 0, &address);
    int err = uv_tcp_bind(&server->listener, (struct sockaddr *)&address, 0);
    if (!err)
        err = uv_listen((uv_stream_t *)&server->listener, 1024, on_connection);
    if (!err)
        err = uv_tcp_getsockname(&server->listener, (struct sockaddr *)&address, &address_len);
    if (err)
        abort();
    server->port = ntohs(address.sin_port);
}

void scripted_server_close_listener(struct scripted_server *server)
{
    if (!uv_is_closing((uv_handle_t *)&server->listener))
        uv_close((uv_handle_t *)&server->listener, free_listener);
}

void scripted_server_stop(struct scripted_server *server)
{
    scripted_server_close_listener(server);
    for (size_t i = 0; i < server->reply_count; i++)
        buf_deinit(&server->replies[i].bytes);
    server->reply_count = 0;
    buf_deinit(&server->last_request);
}

struct reply *scripted_server_add(struct scripted_server *server)
{
    assert(server->reply_count < REPLIES_MAX);
    return &server->replies[server->reply_count++];
}
