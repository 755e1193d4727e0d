/* The questions of one connection: taken, kept waiting where its dialect wants one answer after the other, and asked.
 */
#ifndef PARLEY_QUESTIONS_H
#define PARLEY_QUESTIONS_H

#include "connection.h"

/* Takes the request. Refuses it with the dialect's error where too many wait, or the gateway shuts down. `id` becomes
 * the turn's. */
void questions_add(struct connection *connection, const char *id, struct dialect_request *request);
/* Asks those whose turn it is. */
void questions_take_up(struct connection *connection);
/* Forgets those not yet asked. */
void questions_drop(struct connection *connection);

#endif
