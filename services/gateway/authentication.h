/* Who is there, where TOKENS_FILE is set: each upgrade and each call over HTTP bears a token (tokens.h), as
 * `Authorization: Bearer` or, for browsers, which can't set that on a WebSocket, as the query argument `token`. Where a
 * dialect's paths are its users' own, only that user may be there, and the token may also come with a question.
 *
 * 401: no token where one is needed, or one that is not known. 403: a token of somebody who may not do this. Where
 * TOKENS_FILE is not set, everybody may do everything, and nobody is known. */
#ifndef PARLEY_AUTHENTICATION_H
#define PARLEY_AUTHENTICATION_H

#include "middleware.h"

/* Reads TOKENS_FILE, where one is set. Logs what is wrong with it. */
int authentication_load(struct gateway *gateway) MUST_CHECK;
/* Reads it again. A bad one keeps the old; connections whose token is not in a good one any more are closed. */
void authentication_reload(struct gateway *gateway);

/* The step of the chain. A REQUEST that bears the first token of a connection makes its user known. */
bool authentication_pass(struct visit *visit);
/* Notes in a connection, which has passed, whose token its upgrade bore. */
void authentication_admit(struct connection *connection, const struct web_head *head);
/* Whether it is known whose the connection is, or need not be: it may see what is its user's. */
bool authentication_done(const struct connection *connection);

/* Whether `value`, of an Authorization header (NULL: none), is a bearer token; then `*token` is where it begins. Pure.
 * RFC 6750, section 2.1. */
bool authentication_read_bearer(const char *value, const char **token);

#endif
