/* Sessions: with the token of an earlier connection, a client that asked for the extension (?parley=1) goes on where
 * that stopped, on any gateway: with its conversation, and with the answer that was under way.
 *
 *   connects ---------------------------> {"type":"session","resume":TOKEN}, after the greeting
 *   asks -------------------------------> the session's record, in a bucket of its own, names the turn
 *   has been told the end, and a pong
 *   shows that it was received ---------> the record names none any more
 *   connects with resume=TOKEN&offset=n: the record is read; what it sends meanwhile is held
 *        |  there is a turn ------------> "resumed":true; all of the answer that comes after its first n bytes, and the
 *        |                                end. What is not here is asked for as after any loss (recover.h)
 *        |  there is none --------------> "resumed":false; the conversation goes on
 *        |  there is no such record ----> "resumed":false, and a new token
 *        |  nobody knows: no broker ----> closed with 1013; the token is as good as before
 *
 * Only in dialects whose answers belong to the connection that asked; in the others a room keeps them. */
#ifndef PARLEY_SESSION_H
#define PARLEY_SESSION_H

#include "connection.h"

struct turn;

/* The connection has been greeted. */
void session_open(struct connection *connection, const struct web_head *head);
/* It goes away; its session stays. */
void session_close(struct connection *connection);
/* The turn has been asked for; its question is still there. */
void session_asked(struct connection *connection, const struct turn *turn);
/* It has been accepted: an agent has to start within so many milliseconds. */
void session_accepted(struct connection *connection, const struct turn *turn, int64_t start_within_ms);
/* An answer's end has been written. */
void session_told_end(struct connection *connection);
/* A pong has come. */
void session_ponged(struct connection *connection);
/* Nothing of it is under way any more. */
void session_cancelled(struct connection *connection);
/* When no answer of the store can come any more. */
void session_free_all(struct gateway *gateway);

#endif
