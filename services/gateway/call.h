/* A tool call by a client itself: beside its answers, by request and reply through a router. */
#ifndef PARLEY_CALL_H
#define PARLEY_CALL_H

#include "bus.h"
#include "connection.h"

struct call {
    struct chain link; /* of the connection */
    struct connection *connection;
    char id[ID_SIZE];
    struct trace trace;
    struct dialect_request request; /* the tool's name, and what its dialect has noted */
    struct bus_request *waiting;
};

/* Takes the request. Tells the client at once where it can't be called. `id` becomes the call's. */
void call_start(struct connection *connection, const char *id, struct dialect_request *request);
/* Lets go of all calls of the connection; the tools are told. */
void call_stop_all(struct connection *connection);

#endif
