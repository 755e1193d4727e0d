/* What the parts of web share; nobody else includes this.
 *
 *   web.c           all of it together: sites, the turn, time
 *   web_listener.c  listening sockets; accepts, or refuses above the limit
 *   web_http.c      a connection while it speaks HTTP: requests in
 *   web_response.c  responses out
 *   web_socket.c    a connection once it is a WebSocket: libwebsockets, which only this file includes
 *
 * A socket is a web_http first. An upgrade hands its descriptor to web_socket.c; everything else ends where it began.
 */
#ifndef PARLEY_WEB_PRIVATE_H
#define PARLEY_WEB_PRIVATE_H

#include "http_head.h"
#include "web.h"

#include <netinet/in.h>
#include <stddef.h>

/* A node of a circular list, whose head is such a node too. Zeroed: in no list. */
struct web_link {
    struct web_link *previous, *next;
};

#define WEB_CONTAINER(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

void web_link_init(struct web_link *head);
bool web_link_empty(const struct web_link *head);
bool web_link_in_list(const struct web_link *link);
void web_link_append(struct web_link *head, struct web_link *link);
void web_link_remove(struct web_link *link); /* may be in no list */

/* Something to be done before the loop waits again: writing, mostly. So everything that happens in one turn of the loop
 * goes out together, and no handler is called from inside a function that a handler called. */
struct web_turn {
    struct web_link link; /* first */
    void (*run)(struct web_turn *turn);
};

struct web {
    uv_loop_t *loop;
    struct web_options options;
    struct web_link turns;
    struct web_link https;
    struct web_link listeners;
    struct web_link sites;
    struct web_link unfinished; /* WebSockets with a part of a message, the oldest first */
    uv_prepare_t prepare;       /* runs the turns */
    uv_idle_t idle;             /* keeps the loop from waiting while there are turns */
    uv_timer_t tick;            /* once a second while there is an HTTP connection */
    struct web_lws *lws;
    struct buf argument; /* the last web_head_argument() */
    size_t connections;  /* sockets of any kind */
    size_t sockets;      /* open WebSockets */
    size_t exchanges;    /* requests under way */
    size_t refused;      /* of the connections: being refused above the limit */
    int spare;           /* a descriptor to give up where there are no more */
};

void web_turn_queue(struct web *web, struct web_turn *turn);

struct web_site {
    struct web_link link; /* first */
    const struct web_handlers *handlers;
    void *arg;
};

/* ---- web_listener.c */

struct web_listener {
    struct web_link link; /* first */
    struct web *web;
    struct web_site *site;
    uv_poll_t *poll; /* NULL: no longer listening */
    int fd;
    uint16_t port;
    int64_t quiet_until_ms; /* about the want of descriptors */
};

void web_listener_stop(struct web_listener *listener);
void web_listener_resume(struct web_listener *listener); /* after it had to pause for want of descriptors */
void web_listener_free(struct web_listener **listener);

/* ---- web_http.c, web_response.c */

struct web_exchange {
    bool open;      /* handed to the site, and not over yet */
    bool answered;  /* the response is complete, though perhaps not sent */
    bool streaming; /* between web_stream_begin() and web_stream_end() */
    bool chunked;
    bool bodiless; /* HEAD */
    web_exchange_ended *ended;
    void *arg;
    struct web_http *http;
};

enum web_http_state {
    WEB_HTTP_HEAD,   /* waits for a request, or for the rest of its head */
    WEB_HTTP_BODY,   /* waits for the rest of its body */
    WEB_HTTP_ANSWER, /* the site has it, or the response is being sent */
    WEB_HTTP_LINGER, /* ends: what is still to be sent is sent, what still comes is thrown away */
};

struct web_http {
    struct web_turn turn; /* first */
    struct web_link link;
    struct web *web;
    struct web_site *site;
    uv_poll_t poll;
    int fd;
    int events; /* polled for */
    uint16_t port;
    enum web_http_state state;
    bool read_end; /* the peer sends no more */
    bool shut;     /* neither do we */
    bool refused;  /* counted in web->refused */
    int64_t deadline_ms;
    struct buf in; /* what came, and is not used yet */
    size_t held;   /* of the budget, for the body */
    size_t scanned;
    struct buf head_bytes;
    struct http_head head;
    struct buf out;  /* to be sent, from `sent` on */
    struct buf body; /* to be sent after that */
    size_t sent;
    struct web_exchange exchange;
    char peer[INET6_ADDRSTRLEN];
};

/* Takes the descriptor. `refuse`: 0, or the status that is all this connection gets. */
void web_http_new(struct web_listener *listener, int fd, const struct sockaddr *peer, int refuse);
void web_http_close(struct web_http *http); /* at once; tells the site */
void web_http_tick(struct web_http *http, int64_t now_ms);
/* What of a request's head the handlers see. */
struct web_head web_http_head(struct web_http *http);

/* Queues a small text response, made by the web itself. */
void web_response_refuse(struct web_http *http, int status, const char *reason);
bool web_response_sent(const struct web_http *http);
/* Sends what the socket takes. -1: the connection is broken. */
int web_response_flush(struct web_http *http);

/* ---- web_socket.c */

struct web_lws *web_lws_new(struct web *web);
/* Closes every WebSocket, and tells their sites. */
void web_lws_stop(struct web_lws *lws);
/* True when the library has released all it had, after web_lws_stop(); the loop must run in between. */
bool web_lws_free(struct web_lws **lws);
/* Closes those that take too long to finish a message. */
void web_lws_tick(struct web *web, int64_t now_ms);
/* Makes a WebSocket of a connection whose upgrade was accepted. Takes the descriptor, and reads on after `rest`. The
 * head is lent until this returns. */
void web_lws_adopt(struct web_lws *lws, struct web_http *http, int fd, const char *rest, size_t len);

#endif
