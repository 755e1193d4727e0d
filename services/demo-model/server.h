/* The stand-in's HTTP interface:
 *
 *   POST /v1/chat/completions  as OpenAI's, streamed or whole
 *   GET  /v1/models            the one model that there is
 *   GET  /stats                {"active","started","finished","aborted"}: answers, for tests
 *   GET  /                     a text that says what this is
 *
 * Errors have OpenAI's shape: {"error":{"message","type","param","code"}}. */
#ifndef PARLEY_SERVER_H
#define PARLEY_SERVER_H

#include "demo_settings.h"
#include "err.h"
#include "service.h"

struct server;

/* Both are lent until server_free(). */
struct server *server_new(struct service *service, const struct demo_settings *settings);
/* Says in the log what went wrong, where it does. */
int server_listen(struct server *server) MUST_CHECK;
void server_free(struct server **server);

#endif
