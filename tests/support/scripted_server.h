/* An HTTP/1.1 server for tests, on the test's own loop, that answers with given bytes in a given way: whole, cut into
 * small writes, slowly, cut short, never. */
#ifndef PARLEY_SCRIPTED_SERVER_H
#define PARLEY_SCRIPTED_SERVER_H

#include "buf.h"

#include <stdbool.h>
#include <uv.h>

#define REPLIES_MAX 4

struct reply {
    struct buf bytes;
    size_t step;       /* bytes of one write; 0: all at once */
    uint64_t pause_ms; /* between two writes */
    bool repeat;       /* begins again when it is through: without end */
    bool close;        /* the connection, when it is through */
};

struct scripted_server {
    uv_tcp_t listener;
    int port;
    struct reply replies[REPLIES_MAX]; /* to the requests in the order of coming; the last one to all further ones */
    size_t reply_count;
    int requests, accepted, open;
    struct buf last_request; /* its body */
    bool last_had_key;
};

/* Listens on 127.0.0.1, any port. */
void scripted_server_start(struct scripted_server *server, uv_loop_t *loop);
/* Stops listening; connections end when their clients close them. Frees the replies. */
void scripted_server_stop(struct scripted_server *server);
void scripted_server_close_listener(struct scripted_server *server);

/* A reply to be filled. */
struct reply *scripted_server_add(struct scripted_server *server);

#endif
