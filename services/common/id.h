/* Unguessable ids from getrandom(2). */
#ifndef PARLEY_ID_H
#define PARLEY_ID_H

#include <stdbool.h>
#include <stddef.h>

#define ID_SIZE 37 /* a UUID version 4 in lower case (RFC 9562, section 5.4), and its zero byte */
void id_uuid(char out[ID_SIZE]);

#define ID_SHORT_SIZE 13 /* 12 hexadecimal digits, for what is unique among the processes of one installation */
void id_short(char out[ID_SHORT_SIZE]);

/* So many random hexadecimal digits in lower case, an even number of at most ID_HEX_MAX, and a zero byte. */
#define ID_HEX_MAX 64
void id_hex(char *out, size_t digits);

#define ID_TOKEN_MAX 64
/* Whether `text` may stand as one token of a NATS subject or KV key: [A-Za-z0-9_-]{1,64}. */
bool id_is_token(const char *text, size_t len);
bool id_is_token_text(const char *text); /* the same for a C string */

#define ID_HASH_SIZE 44 /* 43 characters of base64url, and a zero byte */
/* SHA-256 of any bytes as one subject token: for names that come from outside. */
void id_hash(const void *bytes, size_t len, char out[ID_HASH_SIZE]);

#define ID_SHA256_SIZE 65 /* 64 hexadecimal digits in lower case, and a zero byte */
/* SHA-256 as sha256sum(1) writes it. */
void id_sha256(const void *bytes, size_t len, char out[ID_SHA256_SIZE]);

#endif
