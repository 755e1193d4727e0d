#include "web_private.h"

#include "clock.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG       4096
#define ACCEPT_ROUNDS 128 /* in one turn of the loop */
#define REFUSED_MAX   256 /* told so at one time; more are just closed */
#define QUIET_MS      10000

static void set_option(int fd, int level, int option, int value)
{
    if (setsockopt(fd, level, option, &value, sizeof value) < 0)
        log_debug("setsockopt failed", LOG_INT("option", option), LOG_INT("errno", errno));
}

static void warn(struct web_listener *listener)
{
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms < listener->quiet_until_ms)
        return;
    listener->quiet_until_ms = now_ms + QUIET_MS;
    log_warning("no descriptor for a new connection", LOG_INT("port", listener->port), LOG_INT("errno", errno));
}

/* Out of descriptors: what waits would wake us for ever. Gives up the spare one to accept it, and closes it. Where even
 * that fails, pauses; web_listener_resume() goes on. False when there is nothing more to accept now. */
static bool shed(struct web_listener *listener)
{
    struct web *web = listener->web;
    warn(listener);
    if (web->spare >= 0)
        close(web->spare);
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
    bool pause = fd < 0 && errno != EAGAIN;
    if (fd >= 0)
        close(fd);
    web->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (pause)
        uv_poll_stop(listener->poll);
    return fd >= 0;
}

static void welcome(struct web_listener *listener, int fd, const struct sockaddr *peer)
{
    struct web *web = listener->web;
    bool full = web->connections - web->refused >= (size_t)web->options.max_connections;
    if (full && web->refused >= REFUSED_MAX) {
        close(fd);
        return;
    }
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    web_http_new(listener, fd, peer, full ? 503 : 0);
}

/* False when there is nothing more to accept now. */
static bool accept_one(struct web_listener *listener)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    int fd = accept4(listener->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        welcome(listener, fd, (struct sockaddr *)&peer);
        return true;
    }
    switch (errno) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return shed(listener);
    default: /* the peer has gone meanwhile (ECONNABORTED), or its network has */
        return true;
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct web_listener *listener = poll->data;
    for (int i = 0; i < ACCEPT_ROUNDS; i++)
        if (!accept_one(listener))
            return;
}

static int parse_address(const char *host, uint16_t port, struct sockaddr_storage *out)
{
    if (!uv_ip4_addr(host, port, (struct sockaddr_in *)out))
        return ERR_NONE;
    return uv_ip6_addr(host, port, (struct sockaddr_in6 *)out) ? ERR_INVALID : ERR_NONE;
}

/* A listening socket, or -1 with errno. */
static int open_socket(const struct sockaddr_storage *address, bool share)
{
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (share)
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (address->ss_family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    socklen_t len = address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (bind(fd, (const struct sockaddr *)address, len) < 0 || listen(fd, BACKLOG) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    getsockname(fd, (struct sockaddr *)&address, &len);
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

int web_listen(struct web *web, struct web_site *site, const char *host, uint16_t port, bool share,
               struct web_listener **out)
{
    struct sockaddr_storage address = {0};
    if (parse_address(host, port, &address))
        return ERR_INVALID;
    int fd = open_socket(&address, share);
    if (fd < 0)
        return ERR_SYSTEM;
    struct web_listener *listener = mem_alloc(sizeof *listener);
    listener->web = web;
    listener->site = site;
    listener->fd = fd;
    listener->port = bound_port(fd);
    listener->poll = mem_alloc(sizeof *listener->poll);
    listener->poll->data = listener;
    uv_poll_init(web->loop, listener->poll, fd);
    uv_poll_start(listener->poll, UV_READABLE, on_readable);
    web_link_append(&web->listeners, &listener->link);
    *out = listener;
    return ERR_NONE;
}

uint16_t web_listener_port(const struct web_listener *listener)
{
    return listener->port;
}

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle);
}

void web_listener_stop(struct web_listener *listener)
{
    if (!listener->poll)
        return;
    uv_close((uv_handle_t *)listener->poll, on_poll_closed);
    listener->poll = NULL;
    close(listener->fd);
}

void web_listener_resume(struct web_listener *listener)
{
    if (listener->poll && !uv_is_active((uv_handle_t *)listener->poll))
        uv_poll_start(listener->poll, UV_READABLE, on_readable);
}

void web_listener_free(struct web_listener **taken)
{
    struct web_listener *listener = *taken;
    *taken = NULL;
    web_listener_stop(listener);
    web_link_remove(&listener->link);
    free(listener);
}
