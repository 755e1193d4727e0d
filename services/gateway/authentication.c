#include "authentication.h"

#include "connection.h"
#include "log.h"
#include "mem.h"
#include "tokens.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- The file */

/* `trouble`: what is logged where it can't be used. */
static int load(struct gateway *gateway, const char *trouble)
{
    const char *path = gateway->settings->tokens_file;
    struct tokens *tokens = NULL;
    char reason[256];
    int err = tokens_load(path, &tokens, reason, sizeof reason);
    if (err) {
        log_error(trouble, LOG_TEXT("path", path), LOG_TEXT("error", reason));
        return err;
    }
    tokens_free(&gateway->tokens);
    gateway->tokens = tokens;
    log_info("tokens read", LOG_TEXT("path", path), LOG_INT("count", tokens_count(tokens)));
    return ERR_NONE;
}

int authentication_load(struct gateway *gateway)
{
    return gateway->settings->tokens_file ? load(gateway, "TOKENS_FILE can't be used") : ERR_NONE;
}

static bool is_still_valid(const struct connection *connection)
{
    const char *token = connection->credential;
    struct identity identity;
    return !token || (tokens_find(connection->gateway->tokens, token, strlen(token), &identity) &&
                      strcmp(identity.user, connection->client.user) == 0);
}

void authentication_reload(struct gateway *gateway)
{
    if (!gateway->settings->tokens_file ||
        load(gateway, "the tokens stay as they were: TOKENS_FILE can't be used") != ERR_NONE)
        return;
    for (struct chain *link = gateway->connections; link; link = link->next) {
        struct connection *connection = OWNER_OF(link, struct connection, link);
        if (!is_still_valid(connection))
            connection_close(connection, CLOSE_POLICY, "the token is not valid any more");
    }
}

/* ---- The token of a request */

bool authentication_read_bearer(const char *value, const char **token)
{
    static const char scheme[] = "Bearer ";
    size_t len = sizeof scheme - 1;
    if (!value || strncasecmp(value, scheme, len) != 0)
        return false;
    *token = value + len + strspn(value + len, " ");
    return true;
}

/* NULL: none. Lent until the head is asked for something else. */
static const char *token_of(const struct web_head *head)
{
    const char *token;
    if (authentication_read_bearer(web_head_header(head, "authorization"), &token))
        return token;
    return web_head_argument(head, "token");
}

static bool refuse(struct visit *visit, int status, const char *reason)
{
    visit->status = status;
    visit->reason = reason;
    return false;
}

static bool refuse_token(struct visit *visit, const char *token)
{
    return refuse(visit, 401, token ? DIALECT_TOKEN_UNKNOWN : DIALECT_TOKEN_NEEDED);
}

/* ---- The step */

static bool pass_upgrade(struct visit *visit)
{
    const struct dialect *dialect = visit->dialect;
    const char *token = token_of(visit->head);
    struct identity identity;
    if (!token && dialect->user_of)
        return true; /* it may come with a question */
    if (!token || !tokens_find(visit->gateway->tokens, token, strlen(token), &identity))
        return refuse_token(visit, token);
    if (dialect->user_of && strcmp(dialect->user_of(visit->head->path), identity.user) != 0)
        return refuse(visit, 403, DIALECT_TOKEN_ANOTHERS);
    return true;
}

static bool pass_call(struct visit *visit)
{
    const char *token = token_of(visit->head);
    struct identity identity;
    if (!token || !tokens_find(visit->gateway->tokens, token, strlen(token), &identity))
        return refuse_token(visit, token);
    if (visit->owner_only && !identity.owner)
        return refuse(visit, 403, "only an owner may do this");
    return true;
}

static void note(struct connection *connection, const char *token, const char *user)
{
    connection->credential = mem_strdup(token);
    connection->client.user = mem_strdup(user);
}

/* Until its user is known, a connection may ask for nothing. */
static bool pass_request(struct visit *visit)
{
    struct connection *connection = visit->connection;
    const char *token = visit->request->credential, *known = connection->client.user;
    struct identity identity;
    if (!token && known)
        return true;
    if (!token || !tokens_find(visit->gateway->tokens, token, strlen(token), &identity))
        return refuse_token(visit, token);
    if (strcmp(identity.user, known ? known : connection->client.name) != 0)
        return refuse(visit, 403, DIALECT_TOKEN_ANOTHERS);
    if (!known) {
        note(connection, token, identity.user);
        connection_enter(connection);
    }
    return true;
}

bool authentication_pass(struct visit *visit)
{
    if (!visit->gateway->tokens)
        return true;
    switch (visit->kind) {
    case VISIT_UPGRADE:
        return pass_upgrade(visit);
    case VISIT_CALL:
        return pass_call(visit);
    case VISIT_REQUEST:
        return pass_request(visit);
    case VISIT_MESSAGE:
        break;
    }
    return true;
}

void authentication_admit(struct connection *connection, const struct web_head *head)
{
    const struct tokens *tokens = connection->gateway->tokens;
    const char *token = tokens ? token_of(head) : NULL;
    struct identity identity;
    if (token && tokens_find(tokens, token, strlen(token), &identity))
        note(connection, token, identity.user);
}

bool authentication_done(const struct connection *connection)
{
    return !connection->gateway->tokens || connection->client.user;
}
