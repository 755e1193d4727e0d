/* Who may use an installation: the bearer tokens of TOKENS_FILE.
 *
 *   {"tokens": [{"sha256": "<64 hexadecimal digits>", "user": "ada", "roles": ["owner"]}, …]}
 *
 * The file holds a token's SHA-256, not the token: printf %s "$token" | sha256sum. Tokens are long and random, so a
 * slow hash would add nothing. `roles` may be left out; one that is not known here is ignored. Members beginning with
 * "_" are comments, any other unknown one is an error. Pure but for reading the file. */
#ifndef PARLEY_TOKENS_H
#define PARLEY_TOKENS_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

#define TOKENS_FILE_MAX_BYTES (1 << 20)
#define TOKENS_USER_MAX_BYTES 256

struct tokens;

/* Lent by the tokens that it was found in. */
struct identity {
    const char *user; /* valid UTF-8 without control characters, 1 to TOKENS_USER_MAX_BYTES */
    bool owner;       /* may broadcast, reset, and see connections and contact requests of all */
};

/* On failure `reason` says what is wrong, and where. ERR_SYSTEM: it can't be read; ERR_INVALID, ERR_TOO_LARGE. */
int tokens_load(const char *path, struct tokens **out, char *reason, size_t reason_size) MUST_CHECK;
/* The same of a file's content. */
int tokens_parse(const char *text, size_t len, struct tokens **out, char *reason, size_t reason_size) MUST_CHECK;
void tokens_free(struct tokens **tokens); /* NULL inside is allowed */

/* Takes the same time whatever the token is. */
bool tokens_find(const struct tokens *tokens, const char *token, size_t len, struct identity *out) MUST_CHECK;
size_t tokens_count(const struct tokens *tokens);

#endif
