/* WebSockets: libwebsockets 4.1.6, used for RFC 6455 and nothing else.
 *
 * web_http.c has read the client's handshake and checked it. The library gets one of our own making, of which only the
 * key is the client's: so neither its HTTP parser nor its upgrade to anything else (CVE-2025-11677) is ever within
 * reach of a peer.
 *
 * Frames are written outside of its WRITEABLE callback, from web's turn, when the library holds no unsent bytes of this
 * socket (lws_partial_buffered). Its own way costs four epoll_ctl() and a trip through epoll for each frame, ours one
 * send(). That is safe in this version: lws_issue_raw() keeps what the socket did not take, asks for WRITEABLE, and
 * sends nothing else of ours before it; what the library itself wants to send (pongs, close frames) it sends as whole
 * frames from its POLLOUT handler, in between ours. Its closing begins with DROP_PROTOCOL, from where on we are silent.
 *
 * Known limits of the library: of several pings in one read it answers the first; frames that the client did not mask
 * are accepted; a client's close codes 1012 to 1014 are answered with 1002. */
#include "web_private.h"

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "utf8.h"

#include <assert.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLOSE_WAIT_S     5   /* where we close by ourselves */
#define CLOSE_REASON_MAX 123 /* bytes: a control frame holds 125 */
#define TX_PIECE_BYTES   (1 << 20)

/* A close frame that is still to be sent. */
struct goodbye {
    uint16_t code;
    unsigned char reason[CLOSE_REASON_MAX];
    size_t len;
};

/* Lives in the library's memory for the socket. */
struct web_socket {
    struct web_turn turn; /* first */
    struct web *web;
    struct lws *wsi;
    struct web_site *site;
    void *connection;
    struct buf message;         /* fragments so far; no memory while there are none */
    struct web_link unfinished; /* of the web, while there are some */
    int64_t message_until_ms;
    size_t held; /* of the budget, for them */
    struct goodbye *goodbye;
    bool open;    /* `closed` is still to be called */
    bool closing; /* the library is ending it: nothing is to be sent, or heard, any more */
    bool want_write;
    bool want_ping;
    bool may_send;
};

struct web_lws {
    struct web *web;
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct web_http *adopting; /* whose upgrade is under way, inside web_lws_adopt() */
};

static struct web_lws *lws_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

/* The library's timers are armed by its own events only; so that what was set outside of them counts, we make one. */
static void wake(struct web_socket *socket)
{
    lws_cancel_service(lws_get_context(socket->wsi));
}

/* ---- out */

static void fail(struct web_socket *socket)
{
    lws_set_timeout(socket->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
    wake(socket);
}

static void send_ping(struct web_socket *socket)
{
    /* An empty pong would not be reported. */
    unsigned char frame[LWS_PRE + 1] = {0};
    frame[LWS_PRE] = 'p';
    socket->want_ping = false;
    if (lws_write(socket->wsi, frame + LWS_PRE, 1, LWS_WRITE_PING) < 0)
        fail(socket);
}

static void say_goodbye(struct web_socket *socket)
{
    struct goodbye *goodbye = socket->goodbye;
    struct lws_context *context = lws_get_context(socket->wsi);
    socket->goodbye = NULL;
    lws_close_reason(socket->wsi, (enum lws_close_status)goodbye->code, goodbye->reason, goodbye->len);
    free(goodbye);
    /* Sends the close frame and waits a moment for the answer; may end the socket before it returns. */
    lws_set_timeout(socket->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
    lws_cancel_service(context);
}

static void offer_write(struct web_socket *socket)
{
    socket->want_write = false;
    socket->may_send = true;
    socket->site->handlers->writable(socket->connection);
    socket->may_send = false;
}

/* While the library holds bytes that the socket did not take, its WRITEABLE brings us back. */
static bool can_write(const struct web_socket *socket)
{
    return !socket->closing && !lws_partial_buffered(socket->wsi);
}

static void run_turn(struct web_turn *turn)
{
    struct web_socket *socket = (struct web_socket *)turn;
    if (socket->want_ping && can_write(socket))
        send_ping(socket);
    if (!can_write(socket))
        return;
    if (socket->goodbye)
        say_goodbye(socket);
    else if (socket->want_write)
        offer_write(socket);
}

void web_frame_begin(struct buf *frame)
{
    static const char room[LWS_PRE];
    buf_reset(frame);
    buf_append(frame, room, sizeof room);
}

size_t web_frame_len(const struct buf *frame)
{
    return frame->len - LWS_PRE;
}

void web_socket_want_write(struct web_socket *socket)
{
    socket->want_write = true;
    web_turn_queue(socket->web, &socket->turn);
}

int web_socket_send(struct web_socket *socket, const struct buf *frame)
{
    assert(socket->may_send && frame->len >= LWS_PRE);
    socket->may_send = false;
    if (socket->closing || socket->goodbye)
        return ERR_CLOSED;
    if (lws_write(socket->wsi, (unsigned char *)frame->data + LWS_PRE, web_frame_len(frame), LWS_WRITE_TEXT) >= 0)
        return ERR_NONE;
    fail(socket);
    return ERR_CLOSED;
}

void web_socket_ping(struct web_socket *socket)
{
    socket->want_ping = true;
    web_turn_queue(socket->web, &socket->turn);
}

static void release_message(struct web_socket *socket)
{
    web_link_remove(&socket->unfinished);
    budget_release(socket->web->options.budget, &socket->held);
}

static void drop_message(struct web_socket *socket)
{
    buf_deinit(&socket->message);
    release_message(socket);
}

void web_socket_close(struct web_socket *socket, uint16_t code, const char *reason, int wait_s)
{
    if (socket->closing || socket->goodbye)
        return;
    struct goodbye *goodbye = mem_alloc(sizeof *goodbye);
    goodbye->code = code;
    if (reason) {
        goodbye->len = utf8_cut(reason, strlen(reason), CLOSE_REASON_MAX);
        memcpy(goodbye->reason, reason, goodbye->len);
    }
    socket->goodbye = goodbye;
    drop_message(socket);
    if (lws_partial_buffered(socket->wsi)) {
        lws_set_timeout(socket->wsi, PENDING_TIMEOUT_USER_REASON_BASE, wait_s);
        wake(socket);
    }
    web_turn_queue(socket->web, &socket->turn);
}

/* ---- in */

static void on_established(struct web_socket *socket, struct lws *wsi)
{
    struct web_lws *lws = lws_of(wsi);
    struct web_http *http = lws->adopting;
    struct web_head head = web_http_head(http);
    *socket = (struct web_socket){.web = lws->web, .wsi = wsi, .site = http->site, .open = true};
    socket->turn.run = run_turn;
    lws->web->sockets++;
    socket->connection = http->site->handlers->opened(http->site->arg, socket, &head);
}

/* The library checks text as it comes, but forgets to look for a cut code point where the last fragment is empty. */
static bool is_cut_text(const struct web_socket *socket, size_t last_len, bool binary)
{
    return !binary && last_len == 0 && !utf8_valid(socket->message.data, socket->message.len);
}

static void deliver_assembled(struct web_socket *socket, size_t last_len, bool binary)
{
    struct buf message = {0};
    if (is_cut_text(socket, last_len, binary)) {
        web_socket_close(socket, LWS_CLOSE_STATUS_INVALID_PAYLOAD, "invalid UTF-8", CLOSE_WAIT_S);
        return;
    }
    buf_move(&message, &socket->message);
    release_message(socket); /* whoever keeps it counts it */
    socket->site->handlers->received(socket->connection, message.data, message.len, binary);
    buf_deinit(&message);
}

/* A part of it has come. False: it can't be kept. */
static bool keep_message(struct web_socket *socket)
{
    struct web *web = socket->web;
    if (!web_link_in_list(&socket->unfinished)) {
        web_link_append(&web->unfinished, &socket->unfinished);
        socket->message_until_ms = clock_monotonic_ms() + web->options.message_timeout_ms;
    }
    return budget_grow(web->options.budget, &socket->held, socket->message.cap);
}

void web_lws_tick(struct web *web, int64_t now_ms)
{
    while (!web_link_empty(&web->unfinished)) {
        struct web_socket *socket = WEB_CONTAINER(web->unfinished.next, struct web_socket, unfinished);
        if (now_ms < socket->message_until_ms)
            return;
        web_link_remove(&socket->unfinished); /* also of one that is closing by itself */
        web_socket_close(socket, LWS_CLOSE_STATUS_POLICY_VIOLATION, "a message took too long", CLOSE_WAIT_S);
    }
}

static void on_receive(struct web_socket *socket, const char *bytes, size_t len)
{
    if (socket->closing || socket->goodbye)
        return;
    /* What is still announced of this frame counts: it is refused before it comes. */
    size_t announced = lws_remaining_packet_payload(socket->wsi);
    if (announced + len + socket->message.len > (size_t)socket->web->options.message_size_limit) {
        web_socket_close(socket, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "message too large", CLOSE_WAIT_S);
        return;
    }
    bool whole = lws_is_final_fragment(socket->wsi);
    bool binary = lws_frame_is_binary(socket->wsi);
    if (whole && socket->message.len == 0) {
        socket->site->handlers->received(socket->connection, bytes, len, binary);
        return;
    }
    buf_append(&socket->message, bytes, len);
    if (whole)
        deliver_assembled(socket, len, binary);
    else if (!keep_message(socket))
        web_socket_close(socket, LWS_CLOSE_STATUS_POLICY_VIOLATION, "too much is being sent, please try again later",
                         CLOSE_WAIT_S);
}

/* The library answers with the client's own payload, or with 1002 where it finds the code wrong; not so for a single
 * byte, which is no code at all. */
static int on_peer_close(struct web_socket *socket, size_t len)
{
    socket->closing = true;
    if (len != 1)
        return 0;
    lws_close_reason(socket->wsi, LWS_CLOSE_STATUS_PROTOCOL_ERR, NULL, 0);
    return -1;
}

static void on_closed(struct web_socket *socket)
{
    socket->closing = true;
    web_link_remove(&socket->turn.link);
    drop_message(socket);
    free(socket->goodbye);
    socket->goodbye = NULL;
    if (!socket->open)
        return;
    socket->open = false;
    socket->web->sockets--;
    socket->site->handlers->closed(socket->connection);
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct web_socket *socket = user;
    switch ((int)reason) {
    case LWS_CALLBACK_WSI_CREATE:
        lws_of(wsi)->web->connections++;
        break;
    case LWS_CALLBACK_WSI_DESTROY:
        lws_of(wsi)->web->connections--;
        break;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return lws_of(wsi)->adopting ? 0 : -1;
    case LWS_CALLBACK_FILTER_HTTP_CONNECTION:
    case LWS_CALLBACK_HTTP:
        return -1; /* none of its business */
    case LWS_CALLBACK_ESTABLISHED:
        on_established(socket, wsi);
        break;
    case LWS_CALLBACK_RECEIVE:
        on_receive(socket, in, len);
        break;
    case LWS_CALLBACK_RECEIVE_PONG:
        if (!socket->closing && socket->site->handlers->ponged)
            socket->site->handlers->ponged(socket->connection);
        break;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        web_turn_queue(socket->web, &socket->turn);
        break;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return on_peer_close(socket, len);
    case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL:
        socket->closing = true;
        break;
    case LWS_CALLBACK_CLOSED:
        on_closed(socket);
        break;
    }
    return 0;
}

/* ---- the library itself */

/* What it says concerns clients nearly always, and its errors are none of ours. */
static void on_log(int level, const char *line)
{
    (void)level;
    char text[256];
    size_t len = strcspn(line, "\n");
    if (!log_enabled(LOG_DEBUG))
        return;
    snprintf(text, sizeof text, "%.*s", (int)len, line);
    log_debug("libwebsockets", LOG_TEXT("text", text));
}

/* A piece of a message that comes in is at most `rx_buffer_size` bytes, which every socket keeps; one that goes out is
 * `tx_packet_size`, by default the same. */
static const struct lws_protocols protocols[] = {
    {.name = "parley",
     .callback = on_event,
     .per_session_data_size = sizeof(struct web_socket),
     .rx_buffer_size = 256,
     .tx_packet_size = TX_PIECE_BYTES},
    {0},
};

/* None of its own pings. */
static const lws_retry_bo_t no_pings;

struct web_lws *web_lws_new(struct web *web)
{
    struct web_lws *lws = mem_alloc(sizeof *lws);
    void *loops[] = {web->loop};
    /* fd_limit_per_thread stays 0: with any other value, sockets are found by a linear search. */
    struct lws_context_creation_info info = {
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_VALIDATE_UTF8 | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols,
        .foreign_loops = loops,
        .retry_and_idle_policy = &no_pings,
        .user = lws,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
    };
    lws->web = web;
    lws_set_log_level(LLL_ERR | LLL_WARN, on_log);
    lws->context = lws_create_context(&info);
    lws->vhost = lws->context ? lws_create_vhost(lws->context, &info) : NULL;
    if (!lws->vhost) {
        log_error("libwebsockets does not start; is its libuv plugin installed?");
        abort();
    }
    return lws;
}

void web_lws_adopt(struct web_lws *lws, struct web_http *http, int fd, const char *rest, size_t len)
{
    struct buf handshake = {0};
    buf_printf(&handshake,
               "GET / HTTP/1.1\r\nHost: parley\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
               http_head_field(&http->head, "sec-websocket-key"));
    buf_append(&handshake, rest, len);
    lws->adopting = http;
    /* NULL where it has closed already; WSI_DESTROY tells. */
    (void)lws_adopt_socket_vhost_readbuf(lws->vhost, fd, handshake.data, handshake.len);
    lws->adopting = NULL;
    buf_deinit(&handshake);
}

void web_lws_stop(struct web_lws *lws)
{
    lws_context_destroy(lws->context);
}

struct handle_count {
    const void *owner;
    size_t count;
};

static void count_handle(uv_handle_t *handle, void *arg)
{
    struct handle_count *handles = arg;
    handles->count += handle->data == handles->owner;
}

bool web_lws_free(struct web_lws **taken)
{
    struct web_lws *lws = *taken;
    /* On a loop that is not its own, the library closes its sockets, then its own two handles (whose data is the
     * context), and then waits to be called once more. */
    struct handle_count handles = {.owner = lws->context};
    uv_walk(lws->web->loop, count_handle, &handles);
    if (handles.count > 0)
        return false;
    lws_context_destroy(lws->context);
    free(lws);
    *taken = NULL;
    return true;
}
