/* A tiny HTTP client without a loop: the containers' health check starts it every few seconds, so it begins and ends
 * fast and needs nothing. */
#include "service_cli.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define CHECK_SECONDS 2
#define ANSWER_SIZE   1024 /* of which the status line and the reason are far less */

/* A listener on all addresses is asked on this machine's own. */
static const char *address_to_ask(const char *host)
{
    if (*host == '\0' || strcmp(host, "0.0.0.0") == 0)
        return "127.0.0.1";
    return strcmp(host, "::") == 0 ? "::1" : host;
}

static int connect_to(const struct addrinfo *address)
{
    const struct timeval limit = {.tv_sec = CHECK_SECONDS};
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    /* The limit for sending is also the one for connecting. */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
        connect(fd, address->ai_addr, address->ai_addrlen) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int open_connection(const char *host, uint16_t port)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *address;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(host, service, &hints, &address) != 0) {
        errno = EINVAL;
        return -1;
    }
    int fd = connect_to(address);
    freeaddrinfo(address);
    return fd;
}

/* Reads until the peer closes, or there is no room: what matters stands at the beginning. */
static size_t exchange(int fd, char answer[ANSWER_SIZE])
{
    static const char request[] = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)(sizeof request - 1))
        return 0;
    size_t len = 0;
    while (len < ANSWER_SIZE - 1) {
        ssize_t got = recv(fd, answer + len, ANSWER_SIZE - 1 - len, 0);
        if (got <= 0)
            break;
        len += (size_t)got;
    }
    answer[len] = '\0';
    return len;
}

static int judge(const char *answer)
{
    const char *status = strncmp(answer, "HTTP/1.", 7) == 0 ? strchr(answer, ' ') : NULL;
    bool ready = status && strncmp(status, " 200", 4) == 0;
    const char *body = strstr(answer, "\r\n\r\n");
    const char *line = body && body[4] ? body + 4 : "no answer that makes sense\n";
    fprintf(ready ? stdout : stderr, "%s", line);
    return ready ? 0 : 1;
}

int service_check(const char *host, uint16_t port)
{
    host = address_to_ask(host);
    int fd = open_connection(host, port);
    if (fd < 0) {
        fprintf(stderr, "no connection to %s port %u: %s\n", host, port, strerror(errno));
        return 1;
    }
    char answer[ANSWER_SIZE] = "";
    if (exchange(fd, answer) == 0)
        fprintf(stderr, "no answer from %s port %u\n", host, port);
    close(fd);
    return *answer ? judge(answer) : 1;
}
