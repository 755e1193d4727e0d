#include "web_private.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/* Names and values come from our own code, and may carry what a peer sent: nothing may end the line early. */
static void append_plain(struct buf *out, const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text >= ' ' || *text == '\t')
            buf_append_char(out, *text);
}

static void append_header(struct buf *out, const char *name, const char *value)
{
    append_plain(out, name);
    buf_append_text(out, ": ");
    append_plain(out, value);
    buf_append_text(out, "\r\n");
}

static bool is_bodiless_status(int status)
{
    return status < 200 || status == 204 || status == 304;
}

static void begin_head(struct web_http *http, int status, const char *content_type, const char *const *headers)
{
    bool cache = false;
    buf_printf(&http->out, "HTTP/1.1 %d %s\r\n", status, http_status_text(status));
    if (content_type)
        append_header(&http->out, "Content-Type", content_type);
    for (; headers && headers[0] && headers[1]; headers += 2) {
        append_header(&http->out, headers[0], headers[1]);
        cache = cache || !strcasecmp(headers[0], "cache-control");
    }
    if (!cache)
        append_header(&http->out, "Cache-Control", "no-store");
    append_header(&http->out, "X-Content-Type-Options", "nosniff");
}

static void end_head(struct web_http *http)
{
    if (!http->head.keep_alive)
        append_header(&http->out, "Connection", "close");
    else if (http->head.minor == 0)
        append_header(&http->out, "Connection", "keep-alive");
    buf_append_text(&http->out, "\r\n");
}

void web_response_refuse(struct web_http *http, int status, const char *reason)
{
    const char *text = reason ? reason : http_status_text(status);
    begin_head(http, status, "text/plain; charset=utf-8", NULL);
    if (status == 401)
        append_header(&http->out, "WWW-Authenticate", "Bearer"); /* RFC 9110, section 11.6.1; RFC 6750, section 3 */
    if (status == 426) {
        append_header(&http->out, "Upgrade", "websocket");
        append_header(&http->out, "Connection", "Upgrade");
        append_header(&http->out, "Sec-WebSocket-Version", "13");
    }
    buf_printf(&http->out, "Content-Length: %zu\r\n", strlen(text));
    end_head(http);
    if (!http->exchange.bodiless)
        buf_append_text(&http->out, text);
}

void web_respond(struct web_exchange *exchange, int status, const char *content_type, const char *const *headers,
                 struct buf *body)
{
    struct web_http *http = exchange->http;
    assert(exchange->open && !exchange->answered && !exchange->streaming);
    begin_head(http, status, content_type, headers);
    if (!is_bodiless_status(status))
        buf_printf(&http->out, "Content-Length: %zu\r\n", body ? body->len : 0);
    end_head(http);
    if (body && !exchange->bodiless && !is_bodiless_status(status))
        buf_move(&http->body, body);
    else if (body)
        buf_deinit(body);
    exchange->answered = true;
    web_turn_queue(http->web, &http->turn);
}

void web_stream_begin(struct web_exchange *exchange, int status, const char *content_type)
{
    struct web_http *http = exchange->http;
    assert(exchange->open && !exchange->answered && !exchange->streaming);
    begin_head(http, status, content_type, NULL);
    exchange->streaming = true;
    exchange->chunked = http->head.minor == 1;
    if (exchange->chunked)
        append_header(&http->out, "Transfer-Encoding", "chunked");
    else
        http->head.keep_alive = false; /* the end of the connection is the end of the body */
    end_head(http);
    web_turn_queue(http->web, &http->turn);
}

void web_stream_write(struct web_exchange *exchange, struct buf *bytes)
{
    struct web_http *http = exchange->http;
    assert(exchange->streaming);
    /* An empty chunk would be the last one. */
    if (bytes->len > 0 && !exchange->bodiless) {
        if (exchange->chunked)
            buf_printf(&http->out, "%zx\r\n", bytes->len);
        buf_append(&http->out, bytes->data, bytes->len);
        if (exchange->chunked)
            buf_append_text(&http->out, "\r\n");
        web_turn_queue(http->web, &http->turn);
    }
    buf_deinit(bytes);
}

size_t web_stream_pending(const struct web_exchange *exchange)
{
    return exchange->http->out.len - exchange->http->sent;
}

void web_stream_end(struct web_exchange *exchange)
{
    struct web_http *http = exchange->http;
    assert(exchange->streaming);
    if (exchange->chunked && !exchange->bodiless)
        buf_append_text(&http->out, "0\r\n\r\n");
    exchange->streaming = false;
    exchange->answered = true;
    web_turn_queue(http->web, &http->turn);
}

void web_exchange_on_end(struct web_exchange *exchange, web_exchange_ended *ended, void *arg)
{
    exchange->ended = ended;
    exchange->arg = arg;
}

bool web_response_sent(const struct web_http *http)
{
    return http->sent == http->out.len + http->body.len;
}

/* What is still to be sent, in at most two pieces. */
static size_t unsent(const struct web_http *http, struct iovec pieces[2])
{
    size_t count = 0;
    if (http->sent < http->out.len)
        pieces[count++] = (struct iovec){http->out.data + http->sent, http->out.len - http->sent};
    size_t of_body = http->sent < http->out.len ? 0 : http->sent - http->out.len;
    if (of_body < http->body.len)
        pieces[count++] = (struct iovec){http->body.data + of_body, http->body.len - of_body};
    return count;
}

static void forget_sent(struct web_http *http)
{
    if (web_response_sent(http)) {
        buf_deinit(&http->out);
        buf_deinit(&http->body);
        http->sent = 0;
    } else if (http->body.len == 0 && http->sent > http->out.len / 2) {
        buf_consume(&http->out, http->sent); /* a stream that its client is slow to read */
        http->sent = 0;
    }
}

int web_response_flush(struct web_http *http)
{
    while (!web_response_sent(http)) {
        struct iovec pieces[2];
        struct msghdr message = {.msg_iov = pieces, .msg_iovlen = unsent(http, pieces)};
        ssize_t n = sendmsg(http->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return -1;
        if (n < 0)
            break;
        http->sent += (size_t)n;
    }
    forget_sent(http);
    return 0;
}
