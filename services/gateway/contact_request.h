/* A contact request on its way to a router, which stores it; its client is told when that is done. It is sent once: one
 * that goes away meanwhile is stored all the same. */
#ifndef PARLEY_CONTACT_REQUEST_H
#define PARLEY_CONTACT_REQUEST_H

#include "connection.h"

/* `id` becomes the request's. Tells the client at once where it can't be sent. */
void contact_request_start(struct connection *connection, const char *id, const struct dialect_request *request);
/* The connection goes away: nobody is to be told. */
void contact_request_stop_all(struct connection *connection);

#endif
