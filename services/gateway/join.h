/* Coming in where it has to be asked whether the pipeline exists (DIALECT_JOIN): until a router has said so, what the
 * client sends is held. Then its dialect greets it, and all that it has sent is read as if it came now. */
#ifndef PARLEY_JOIN_H
#define PARLEY_JOIN_H

#include "connection.h"

/* The pipeline's name is lent until this returns. May end the connection at once. */
void join_start(struct connection *connection, const char *pipeline);
/* The connection goes away; not coming in: nothing. */
void join_stop(struct connection *connection);

#endif
