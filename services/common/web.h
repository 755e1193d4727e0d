/* HTTP and WebSocket in, on the loop: the one place that knows libwebsockets (4.1, libuv event library), and it is used
 * for WebSockets alone: requests are read by http_head.h, so that bad ones get an answer. A pump: it interprets no
 * message and no path. RFC 6455 (WebSocket), RFC 9112 (HTTP/1.1).
 *
 * Listeners are our own sockets, any number of them, each serving one site; all serve HTTP and WebSocket alike.
 *
 * Handlers are called from the loop, never from inside a function of this header, except that web_free() calls `closed`
 * and what web_exchange_on_end() left. What is written during one turn of the loop leaves at its end.
 *
 * Everything is called on the loop's thread. */
#ifndef PARLEY_WEB_H
#define PARLEY_WEB_H

#include "budget.h"
#include "buf.h"
#include "err.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct web;      /* all of it: one a process */
struct web_site; /* a set of handlers, behind any number of listeners */
struct web_listener;
struct web_socket;   /* one open WebSocket */
struct web_exchange; /* one HTTP request, and its response */

struct web_options {
    int64_t max_connections;    /* sockets of any kind; beyond it accepted ones are answered 503 and closed */
    int64_t message_size_limit; /* bytes of one WebSocket message, over all its fragments; beyond it 1009 */
    int64_t body_size_limit;    /* bytes of one request's body; beyond it 413 */
    int64_t message_timeout_ms; /* from a message's first byte to its last; a slower one is closed with 1008 */
    /* Messages and bodies that have come in part count here; what is too much is closed with 1008, or answered 503.
     * Lent; others may use it, too. */
    struct budget *budget;
};

/* The head of a request, lent until the handler returns. */
struct web_head {
    const char *method; /* "GET", "POST", … */
    const char *path;   /* percent-decoded, without the query; begins with '/'; holds no control characters */
    const char *peer;   /* the peer's address, without port */
    uint16_t port;      /* of the listener that it came in on */
    void *native;
};
/* A header's value (the first, where several came), or NULL. `name` in lower case. */
const char *web_head_header(const struct web_head *head, const char *name);
/* A query argument's decoded value, or NULL; lent until the next call. */
const char *web_head_argument(const struct web_head *head, const char *name);

struct web_handlers {
    /* A client wants a WebSocket here. 0: let it; else the HTTP status to refuse it with (401, 403, 404, 503, …), with
     * `*reason`, a text lent for ever, as the body; 401 asks for a bearer's token. The socket's own pointer is what
     * `opened` returns. NULL: 404 for all. */
    int (*upgrade)(void *arg, const struct web_head *head, const char **reason);
    /* It is open; `head` is still there. */
    void *(*opened)(void *arg, struct web_socket *socket, const struct web_head *head);
    /* A whole message. Text is valid UTF-8 (else the library has closed with 1007). May close the socket. */
    void (*received)(void *connection, const char *bytes, size_t len, bool binary);
    /* Asked for by web_socket_want_write(); web_socket_send() may be called once now. */
    void (*writable)(void *connection);
    void (*ponged)(void *connection);
    /* Gone, for whatever reason; the socket must not be used any more. Called exactly once for each `opened`. */
    void (*closed)(void *connection);
    /* An HTTP request with its whole body. It is answered with web_respond() or web_stream_*(), now or later. NULL: 404
     * for all. */
    void (*request)(void *arg, struct web_exchange *exchange, const struct web_head *head, const char *body,
                    size_t len);
};

struct web *web_new(uv_loop_t *loop, const struct web_options *options);
/* Closes everything without ceremony; not from inside a handler. The loop must run until it has nothing left. */
void web_free(struct web **web);

/* `handlers` and `arg` are lent until web_free(). */
struct web_site *web_site_new(struct web *web, const struct web_handlers *handlers, void *arg);
/* `port` 0: any free one. `share`: several processes may listen on it, and the kernel spreads the connections
 * (SO_REUSEPORT). ERR_SYSTEM with errno set (address in use, not permitted, …); ERR_INVALID: `host` is no numeric
 * address. */
int web_listen(struct web *web, struct web_site *site, const char *host, uint16_t port, bool share,
               struct web_listener **out) MUST_CHECK;
uint16_t web_listener_port(const struct web_listener *listener);
/* The site's listeners accept no more; what is open stays. */
void web_stop_listening(struct web *web, const struct web_site *site);
/* Open WebSockets, and HTTP connections with a request under way. */
size_t web_socket_count(const struct web *web);

/* ---- WebSockets */

/* A frame is built in a buf that leaves room before it for what the protocol puts there:
 *   web_frame_begin(&frame); json_append(&frame, value); web_socket_send(socket, &frame); */
void web_frame_begin(struct buf *frame);       /* resets it */
size_t web_frame_len(const struct buf *frame); /* of the payload so far */

void web_socket_want_write(struct web_socket *socket);
/* One whole text message; only from `writable`, and once. Lends the frame. ERR_CLOSED: the socket is going away,
 * `closed` will follow. */
int web_socket_send(struct web_socket *socket, const struct buf *frame);
/* Sends a ping as soon as possible; the answer calls `ponged`. */
void web_socket_ping(struct web_socket *socket);
/* Sends a close frame with code and reason (RFC 6455, section 7.4; at most 123 bytes) and ends the connection, without
 * waiting for a peer that does not answer. One that does not read what was sent before is waited for, `wait_s` seconds
 * at most, and then disconnected without a word. `closed` is called, before or after this returns: touch neither the
 * socket nor what hangs on it afterwards. */
void web_socket_close(struct web_socket *socket, uint16_t code, const char *reason, int wait_s);

/* ---- HTTP responses */

/* Called when the exchange is over, or its client has gone (`gone`): the exchange must not be used any more. */
typedef void web_exchange_ended(void *arg, bool gone);
void web_exchange_on_end(struct web_exchange *exchange, web_exchange_ended *ended, void *arg);

/* The whole response. `headers`: pairs of name and value ended by NULL, or NULL. Takes the body (NULL: none). Sends
 * Content-Length and Content-Type, `Cache-Control: no-store` unless given, and `X-Content-Type-Options: nosniff`. To
 * HEAD the body is left out. */
void web_respond(struct web_exchange *exchange, int status, const char *content_type, const char *const *headers,
                 struct buf *body);
/* A response in pieces, of unknown length, ended by web_stream_end(); takes the bytes. What a slow client leaves unsent
 * is kept in memory: web_stream_pending() tells how much. */
void web_stream_begin(struct web_exchange *exchange, int status, const char *content_type);
void web_stream_write(struct web_exchange *exchange, struct buf *bytes);
size_t web_stream_pending(const struct web_exchange *exchange);
void web_stream_end(struct web_exchange *exchange);

#endif
