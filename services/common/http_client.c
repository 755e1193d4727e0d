#include "http_client.h"

#include "mem.h"

#include <assert.h>
#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define USER_AGENT "parley/0.1.0"
/* A token's event is some 300 bytes: one read of this size brings several. Each running request has such a buffer. */
#define RECEIVE_BUFFER_BYTES 4096L
/* curl's least; it is used where a large body goes out over TLS. */
#define SEND_BUFFER_BYTES   16384L
#define RETRY_AFTER_MAX_SEC (365 * 24 * 3600)

/* curl may not be told to start or to end a transfer from within its own callbacks. What a handler asks for then waits
 * in `deferred` until curl has returned. */
struct http_client {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer; /* curl's own */
    LIST_HEAD(, http_request) requests;
    LIST_HEAD(, http_request) deferred;
    bool in_curl;
    bool in_handler; /* asserted only */
};

struct http_request {
    struct http_client *client;
    LIST_ENTRY(http_request) link;
    CURL *easy;
    bool added;     /* curl knows it */
    bool cancelled; /* while in curl: to be freed once that returns */
    struct curl_slist *headers;
    struct buf body;
    http_body_handler *on_body;
    http_done_handler *on_done;
    void *arg;
    int status; /* 0 until the body has begun */
};

/* One of curl's sockets, while curl waits for it. */
struct http_socket {
    uv_poll_t poll;
    struct http_client *client;
    curl_socket_t fd;
};

/* Options fail only when memory is out, or for what this curl was built without: neither can be gone on with. */
static void must(bool ok)
{
    if (!ok)
        abort();
}
#define SET(easy, option, value) must(curl_easy_setopt(easy, option, value) == CURLE_OK)

static void free_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* ---- What a request came to */

struct outcome {
    CURLcode code;
    int err;
    const char *text;
};

static const struct outcome outcomes[] = {
    {CURLE_OK, ERR_NONE, "answered"},
    {CURLE_URL_MALFORMAT, ERR_INVALID, "the URL is malformed"},
    {CURLE_UNSUPPORTED_PROTOCOL, ERR_INVALID, "not HTTP"},
    {CURLE_WEIRD_SERVER_REPLY, ERR_INVALID, "the answer is not HTTP"},
    {CURLE_COULDNT_RESOLVE_HOST, ERR_SYSTEM, "the host's name could not be resolved"},
    {CURLE_COULDNT_CONNECT, ERR_SYSTEM, "could not connect"},
    {CURLE_OPERATION_TIMEDOUT, ERR_TIMEOUT, "timed out"},
    {CURLE_SSL_CONNECT_ERROR, ERR_SYSTEM, "could not speak TLS"},
    {CURLE_PEER_FAILED_VERIFICATION, ERR_SYSTEM, "the server's certificate could not be verified"},
    {CURLE_SSL_CACERT_BADFILE, ERR_SYSTEM, "the system's certificate authorities could not be read"},
    {CURLE_GOT_NOTHING, ERR_CLOSED, "the connection was closed without an answer"},
    {CURLE_SEND_ERROR, ERR_CLOSED, "the connection was closed while sending"},
    {CURLE_RECV_ERROR, ERR_CLOSED, "the connection broke"},
    {CURLE_PARTIAL_FILE, ERR_CLOSED, "the answer was cut short"},
};

static struct outcome outcome_of(CURLcode code)
{
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
        if (outcomes[i].code == code)
            return outcomes[i];
    return (struct outcome){code, ERR_SYSTEM, curl_easy_strerror(code)};
}

static int64_t retry_after_ms(CURL *easy)
{
    struct curl_header *header;
    curl_off_t seconds = 0; /* curl says 0 for none, too */
    if (curl_easy_header(easy, "Retry-After", 0, CURLH_HEADER, -1, &header) != CURLHE_OK ||
        curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds) != CURLE_OK)
        return -1;
    if (seconds < 0) /* a date that has passed */
        seconds = 0;
    return (int64_t)(seconds < RETRY_AFTER_MAX_SEC ? seconds : RETRY_AFTER_MAX_SEC) * 1000;
}

static int status_of(CURL *easy)
{
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

/* Why no connection came about, as the system calls it: "connection refused". */
static void connect_error(CURL *easy, char *text, size_t size)
{
    long number = 0;
    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
    if (number == 0)
        return;
    snprintf(text, size, "%s", strerror((int)number));
    text[0] = (char)tolower((unsigned char)text[0]);
}

/* ---- Requests */

/* Takes it from curl, which closes the connection unless the transfer was complete. */
static void detach(struct http_request *request)
{
    assert(!request->client->in_curl);
    if (!request->added)
        return;
    request->added = false;
    must(curl_multi_remove_handle(request->client->multi, request->easy) == CURLM_OK);
}

static void request_free(struct http_request *request)
{
    detach(request);
    LIST_REMOVE(request, link);
    curl_easy_cleanup(request->easy);
    curl_slist_free_all(request->headers);
    buf_deinit(&request->body);
    free(request);
}

static void finish(struct http_request *request, CURLcode code)
{
    struct http_client *client = request->client;
    struct outcome outcome = outcome_of(code);
    char text[128];
    snprintf(text, sizeof text, "%s", outcome.text);
    if (code == CURLE_COULDNT_CONNECT)
        connect_error(request->easy, text, sizeof text);
    struct http_result result = {.err = outcome.err,
                                 .status = status_of(request->easy),
                                 .text = text,
                                 .retry_after_ms = retry_after_ms(request->easy),
                                 .body = &request->body};
    detach(request); /* first, so that its connection is there for what the handler sends */
    client->in_handler = true;
    request->on_done(request->arg, &result);
    client->in_handler = false;
    request_free(request);
}

static void add(struct http_request *request)
{
    must(curl_multi_add_handle(request->client->multi, request->easy) == CURLM_OK);
    request->added = true;
}

static void settle_deferred(struct http_client *client)
{
    struct http_request *request;
    while ((request = LIST_FIRST(&client->deferred))) {
        if (request->cancelled) {
            request_free(request);
            continue;
        }
        LIST_REMOVE(request, link);
        LIST_INSERT_HEAD(&client->requests, request, link);
        add(request);
    }
}

static void report_finished(struct http_client *client)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(client->multi, &left));) {
        struct http_request *request;
        if (message->msg != CURLMSG_DONE ||
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &request) != CURLE_OK)
            continue;
        finish(request, message->data.result);
    }
}

static void act(struct http_client *client, curl_socket_t fd, int events)
{
    int running;
    client->in_curl = true;
    must(curl_multi_socket_action(client->multi, fd, events, &running) == CURLM_OK);
    client->in_curl = false;
    settle_deferred(client);
    report_finished(client);
}

/* ---- curl's callbacks */

static size_t on_write(char *bytes, size_t size, size_t count, void *arg)
{
    struct http_request *request = arg;
    size_t len = size * count;
    if (request->cancelled)
        return CURL_WRITEFUNC_ERROR;
    if (len == 0)
        return 0;
    if (request->status == 0)
        request->status = status_of(request->easy);
    request->on_body(request->arg, request->status, bytes, len);
    return request->cancelled ? CURL_WRITEFUNC_ERROR : len;
}

static void on_timer(uv_timer_t *timer)
{
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timeout_change(CURLM *multi, long timeout_ms, void *arg)
{
    struct http_client *client = arg;
    (void)multi;
    if (timeout_ms < 0)
        uv_timer_stop(&client->timer);
    else
        uv_timer_start(&client->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct http_socket *sock = poll->data;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    act(sock->client, sock->fd, flags);
}

static struct http_socket *socket_new(struct http_client *client, curl_socket_t fd)
{
    struct http_socket *sock = mem_alloc(sizeof *sock);
    sock->client = client;
    sock->fd = fd;
    sock->poll.data = sock;
    must(uv_poll_init_socket(client->loop, &sock->poll, fd) == 0);
    must(curl_multi_assign(client->multi, fd, sock) == CURLM_OK);
    return sock;
}

static int on_socket_change(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct http_client *client = arg;
    struct http_socket *sock = socket_arg;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (sock)
            uv_close((uv_handle_t *)&sock->poll, free_closed);
        curl_multi_assign(client->multi, fd, NULL);
        return 0;
    }
    if (!sock)
        sock = socket_new(client, fd);
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    must(uv_poll_start(&sock->poll, events, on_poll) == 0);
    return 0;
}

/* ---- The interface */

struct http_client *http_client_new(uv_loop_t *loop, int64_t max_connections_kept)
{
    struct http_client *client = mem_alloc(sizeof *client);
    client->loop = loop;
    LIST_INIT(&client->requests);
    LIST_INIT(&client->deferred);
    uv_timer_init(loop, &client->timer);
    client->timer.data = client;
    must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    must((client->multi = curl_multi_init()) != NULL);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket_change);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timeout_change);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)max_connections_kept);
    return client;
}

void http_client_free(struct http_client **client)
{
    struct http_client *gone = *client;
    *client = NULL;
    if (!gone)
        return;
    assert(!gone->in_curl && !gone->in_handler);
    while (!LIST_EMPTY(&gone->requests))
        request_free(LIST_FIRST(&gone->requests));
    curl_multi_cleanup(gone->multi);
    curl_global_cleanup();
    uv_close((uv_handle_t *)&gone->timer, free_closed);
}

static void set_transport(CURL *easy, const struct http_options *options)
{
    SET(easy, CURLOPT_NOSIGNAL, 1L);
    SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(easy, CURLOPT_PROXY, "");
    SET(easy, CURLOPT_TCP_NODELAY, 1L);
    SET(easy, CURLOPT_QUICK_EXIT, 1L);
    SET(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_timeout_ms);
    SET(easy, CURLOPT_TIMEOUT_MS, (long)options->total_timeout_ms);
    SET(easy, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER_BYTES);
    SET(easy, CURLOPT_UPLOAD_BUFFERSIZE, SEND_BUFFER_BYTES);
    /* Without the directory curl reads the bundle of authorities once for all connections, not once for each. */
    SET(easy, CURLOPT_CAPATH, NULL);
}

static void set_message(struct http_request *request, const struct http_options *options)
{
    CURL *easy = request->easy;
    SET(easy, CURLOPT_URL, options->url);
    SET(easy, CURLOPT_USERAGENT, USER_AGENT);
    /* An empty Expect: large bodies are sent without waiting to be asked for. */
    must((request->headers = curl_slist_append(NULL, "Expect:")) != NULL);
    for (const char *const *header = options->headers; header && *header; header++)
        must(curl_slist_append(request->headers, *header) != NULL);
    SET(easy, CURLOPT_HTTPHEADER, request->headers);
    if (strcmp(options->method, "POST") != 0)
        return;
    SET(easy, CURLOPT_POST, 1L);
    SET(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    SET(easy, CURLOPT_POSTFIELDS, request->body.len > 0 ? request->body.data : "");
}

struct http_request *http_send(struct http_client *client, const struct http_options *options, struct buf *body,
                               http_body_handler *on_body, http_done_handler *on_done, void *arg)
{
    struct http_request *request = mem_alloc(sizeof *request);
    request->client = client;
    request->on_body = on_body;
    request->on_done = on_done;
    request->arg = arg;
    if (body)
        buf_move(&request->body, body);
    must((request->easy = curl_easy_init()) != NULL);
    SET(request->easy, CURLOPT_PRIVATE, request);
    SET(request->easy, CURLOPT_WRITEFUNCTION, on_write);
    SET(request->easy, CURLOPT_WRITEDATA, request);
    set_transport(request->easy, options);
    set_message(request, options);
    if (client->in_curl) {
        LIST_INSERT_HEAD(&client->deferred, request, link);
    } else {
        LIST_INSERT_HEAD(&client->requests, request, link);
        add(request);
    }
    return request;
}

void http_cancel(struct http_request **request)
{
    struct http_request *gone = *request;
    *request = NULL;
    if (!gone)
        return;
    if (!gone->client->in_curl) {
        request_free(gone);
        return;
    }
    if (gone->cancelled)
        return;
    gone->cancelled = true;
    LIST_REMOVE(gone, link);
    LIST_INSERT_HEAD(&gone->client->deferred, gone, link);
}
