#include "tokens.h"

#include "buf.h"
#include "file.h"
#include "id.h"
#include "json.h"
#include "mem.h"
#include "utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS (ID_SHA256_SIZE - 1)

struct token {
    char sha256[ID_SHA256_SIZE];
    char *user;
    bool owner;
};

struct tokens {
    struct token *list;
    size_t count;
};

void tokens_free(struct tokens **tokens)
{
    struct tokens *t = *tokens;
    *tokens = NULL;
    for (size_t i = 0; t && i < t->count; i++)
        free(t->list[i].user);
    if (t)
        free(t->list);
    free(t);
}

size_t tokens_count(const struct tokens *tokens)
{
    return tokens->count;
}

/* ---- Reading the file */

static bool is_user(const char *text, size_t len)
{
    return len >= 1 && len <= TOKENS_USER_MAX_BYTES && utf8_is_name(text, len);
}

static bool take_hash(const json_t *entry, struct token *token)
{
    size_t len;
    const char *text = json_get_text(entry, "sha256", &len);
    if (!text || len != DIGITS || strspn(text, "0123456789abcdefABCDEF") != DIGITS)
        return false;
    for (size_t i = 0; i < DIGITS; i++)
        token->sha256[i] = (char)(text[i] >= 'A' && text[i] <= 'F' ? text[i] - 'A' + 'a' : text[i]);
    return true;
}

static bool take_roles(const json_t *entry, struct token *token)
{
    const json_t *roles = json_object_get(entry, "roles"), *role;
    size_t i;
    if (roles && !json_is_array(roles))
        return false;
    json_array_foreach(roles, i, role)
    {
        if (!json_is_string(role))
            return false;
        token->owner = token->owner || strcmp(json_string_value(role), "owner") == 0;
    }
    return true;
}

/* A member that nobody knows, such as a misspelled one; NULL: none. */
static const char *stranger(json_t *object, const char *const *known)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        size_t i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i] && key[0] != '_')
            return key;
    }
    return NULL;
}

/* What is wrong with an entry; NULL: nothing. */
static const char *take_entry(json_t *entry, struct token *token)
{
    static const char *const known[] = {"sha256", "user", "roles", NULL};
    size_t len;
    const char *user = json_get_text(entry, "user", &len);
    if (!json_is_object(entry))
        return " must be an object";
    if (stranger(entry, known))
        return " has a member besides sha256, user and roles";
    if (!take_hash(entry, token))
        return ".sha256 must be 64 hexadecimal digits";
    if (!user || !is_user(user, len))
        return ".user must be a text of 1 to 256 bytes without control characters";
    if (!take_roles(entry, token))
        return ".roles must be a list of texts";
    token->user = mem_strndup(user, len);
    return NULL;
}

/* By hash, then by place: the list's elements are the same array's. */
static int compare(const void *a, const void *b)
{
    const struct token *const *first = a, *const *second = b;
    int order = strcmp((*first)->sha256, (*second)->sha256);
    return order != 0 ? order : (*first > *second) - (*first < *second);
}

/* Whose token would it be? */
static int refuse_doubles(const struct tokens *tokens, char *reason, size_t reason_size)
{
    const struct token **sorted = mem_alloc((tokens->count + 1) * sizeof(struct token *));
    int err = ERR_NONE;
    for (size_t i = 0; i < tokens->count; i++)
        sorted[i] = &tokens->list[i];
    qsort(sorted, tokens->count, sizeof *sorted, compare);
    for (size_t i = 1; i < tokens->count && !err; i++) {
        if (strcmp(sorted[i - 1]->sha256, sorted[i]->sha256) != 0)
            continue;
        snprintf(reason, reason_size, "tokens[%td].sha256 is that of tokens[%td], too", sorted[i] - tokens->list,
                 sorted[i - 1] - tokens->list);
        err = ERR_INVALID;
    }
    free(sorted);
    return err;
}

static int take_list(const json_t *list, struct tokens *tokens, char *reason, size_t reason_size)
{
    size_t i;
    json_t *entry;
    tokens->list = mem_alloc((json_array_size(list) + 1) * sizeof *tokens->list);
    json_array_foreach(list, i, entry)
    {
        const char *wrong = take_entry(entry, &tokens->list[i]);
        if (wrong) {
            snprintf(reason, reason_size, "tokens[%zu]%s", i, wrong);
            return ERR_INVALID;
        }
        tokens->count++;
    }
    return refuse_doubles(tokens, reason, reason_size);
}

int tokens_parse(const char *text, size_t len, struct tokens **out, char *reason, size_t reason_size)
{
    static const char *const known[] = {"tokens", NULL};
    json_t *file = NULL;
    int err = json_parse(text, len, reason, reason_size, &file);
    if (err)
        return err;
    struct tokens *tokens = mem_alloc(sizeof *tokens);
    const json_t *list = json_object_get(file, "tokens");
    if (json_is_array(list) && !stranger(file, known)) {
        err = take_list(list, tokens, reason, reason_size);
    } else {
        snprintf(reason, reason_size, "the file must be an object with a list \"tokens\", and nothing else");
        err = ERR_INVALID;
    }
    json_decref(file);
    if (err)
        tokens_free(&tokens);
    else
        *out = tokens;
    return err;
}

int tokens_load(const char *path, struct tokens **out, char *reason, size_t reason_size)
{
    struct buf text = {0};
    int err = file_read(path, TOKENS_FILE_MAX_BYTES, &text);
    if (err)
        snprintf(reason, reason_size, "%s", err == ERR_SYSTEM ? strerror(errno) : err_text(err));
    else
        err = tokens_parse(text.data, text.len, out, reason, reason_size);
    buf_deinit(&text);
    return err;
}

/* ---- Looking one up */

static bool is_same(const char *a, const char *b)
{
    unsigned char difference = 0;
    for (size_t i = 0; i < DIGITS; i++)
        difference |= (unsigned char)(a[i] ^ b[i]);
    return difference == 0;
}

bool tokens_find(const struct tokens *tokens, const char *token, size_t len, struct identity *out)
{
    char sha256[ID_SHA256_SIZE];
    const struct token *found = NULL;
    id_sha256(token, len, sha256);
    for (size_t i = 0; i < tokens->count; i++) /* all of them, wherever it stands */
        found = is_same(tokens->list[i].sha256, sha256) ? &tokens->list[i] : found;
    if (found)
        *out = (struct identity){.user = found->user, .owner = found->owner};
    return found != NULL;
}
