/* One open WebSocket, and what its client has asked for. An idle one costs only this struct. */
#ifndef PARLEY_CONNECTION_H
#define PARLEY_CONNECTION_H

#include "allowance.h"
#include "dialect.h"
#include "gateway.h"
#include "outbox.h"
#include "web.h"

struct cancel;
struct held;
struct join;
struct room;
struct session;
struct status_request;
struct turn;

struct connection {
    struct chain link; /* of the gateway */
    struct gateway *gateway;
    struct web_socket *socket;
    const struct dialect *dialect;
    struct gateway_dialect *mine; /* the dialect's counts and metrics */
    struct dialect_client client;
    struct trace trace; /* that its client gave; none: each question makes its own */
    char *credential;   /* by which its user is known; NULL: none. A secret */
    struct outbox outbox;

    struct join *join;       /* it is not yet known whether it may come in; NULL: it has */
    struct held *held;       /* what it has sent and can't be read yet; NULL: all is read as it comes */
    struct session *session; /* NULL: none */
    struct room *room;       /* NULL: none */
    struct chain membership;

    struct turn *waiting; /* questions not yet asked, oldest first */
    uint32_t waiting_count;
    uint32_t running; /* asked, and not yet ended */
    bool taking_up;
    struct chain *calls;           /* tool calls under way */
    struct cancel *cancel;         /* a cancel that is not yet answered; NULL: none */
    struct chain *contacts;        /* contact requests under way */
    struct status_request *status; /* NULL: none under way */

    double connected_at; /* Unix seconds */
    double received_at;  /* the same of the last message, or the opening */
    uint64_t frames_sent;
    int64_t idle_since_ms; /* monotonic: the last message, or when it was last seen to wait for something */
    int64_t pinged_ms;     /* monotonic: the last ping, or the opening */
    bool pong_awaited;
    bool ping_again; /* as soon as that has come */
    struct allowance allowance;

    bool ending;   /* closed as soon as the outbox is empty */
    bool doomed;   /* is being closed: nothing more is read or sent */
    uint16_t code; /* with this code and reason; the reason is lent for ever */
    const char *reason;
};

/* Opened and gone, and what comes in between; called by the edge. */
struct connection *connection_open(struct gateway *gateway, struct web_socket *socket, const struct dialect *dialect,
                                   const struct web_head *head);
void connection_free(struct connection **connection);
void connection_receive(struct connection *connection, const char *bytes, size_t len, bool binary);
void connection_write(struct connection *connection); /* its socket can take a frame */
void connection_ponged(struct connection *connection);
void connection_beat(struct connection *connection, int64_t now_ms);

/* For what its client asks for now. */
struct trace connection_trace(const struct connection *connection);

/* It becomes a member of the room that its client names, and follows what is going on there. */
void connection_enter(struct connection *connection);

/* There may be something to send. Closes those that are too slow. */
void connection_wake(struct connection *connection);
/* What its dialect makes of an occasion goes into its outbox. `now` is filled in here. */
void connection_tell(struct connection *connection, struct dialect_occasion *occasion);
/* An occasion of this kind, to be filled in, of which nothing is known. */
struct dialect_occasion connection_occasion(enum dialect_occasion_kind kind);
/* One with a reason; `request` NULL: none. The reason is lent until this returns. */
void connection_tell_reason(struct connection *connection, enum dialect_occasion_kind kind,
                            const struct dialect_request *request, const void *reason, size_t len);
/* Closes it normally when all has been sent that is in its outbox; nothing more is read. */
void connection_end(struct connection *connection, const char *reason);
/* Pings the client, once it has answered any ping before: so the pong that session_ponged() hears of was sent after all
 * that had been written when this was last called. */
void connection_ping(struct connection *connection);
/* An answer that it asked for has ended: the next question may be asked. */
void connection_answer_ended(struct connection *connection);
/* Nothing more is read or sent, and the socket is closed. It is gone at connection_free(), which the web calls later,
 * never from within this. The first reason given counts; it is lent for ever. */
void connection_close(struct connection *connection, uint16_t code, const char *reason);
/* Lets go of what it has asked for. */
void connection_leave(struct connection *connection);

#define CLOSE_NORMAL     1000 /* RFC 6455, section 7.4.1 */
#define CLOSE_GOING_AWAY 1001
#define CLOSE_POLICY     1008
#define CLOSE_TRY_LATER  1013 /* the IANA's WebSocket close code numbers */

#endif
