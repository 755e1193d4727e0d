/* A connection's own: what its opening and its messages share. */
#ifndef PARLEY_CONNECTION_INTERNAL_H
#define PARLEY_CONNECTION_INTERNAL_H

#include "connection.h"

/* What its dialect is told beside a message. `fresh_id` is lent to it. */
struct dialect_context connection_context(struct connection *connection, const char *fresh_id);

/* What the dialect has answered goes out, and what it was asked for is done. */
void connection_carry_out(struct connection *connection, const char *fresh_id, struct dialect_request *request);

#endif
