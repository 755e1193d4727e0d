#include "id.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SHA256_BYTES 32

/* Fewer than 256 bytes come whole or not at all; only a signal before the pool is filled at boot can interrupt. */
static void fill_random(uint8_t *bytes, size_t len)
{
    while (getrandom(bytes, len, 0) != (ssize_t)len) {
        if (errno != EINTR)
            abort(); /* no entropy, no secrets */
    }
}

static char *append_hex(char *out, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    return out;
}

void id_uuid(char out[ID_SIZE])
{
    static const uint8_t groups[] = {4, 2, 2, 2, 6}; /* bytes between the hyphens */
    uint8_t bytes[16];
    fill_random(bytes, sizeof bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40; /* version 4 */
    bytes[8] = (bytes[8] & 0x3f) | 0x80; /* variant 10 */
    const uint8_t *from = bytes;
    for (size_t i = 0; i < sizeof groups; i++) {
        if (i > 0)
            *out++ = '-';
        out = append_hex(out, from, groups[i]);
        from += groups[i];
    }
    *out = '\0';
}

void id_short(char out[ID_SHORT_SIZE])
{
    uint8_t bytes[(ID_SHORT_SIZE - 1) / 2];
    fill_random(bytes, sizeof bytes);
    *append_hex(out, bytes, sizeof bytes) = '\0';
}

void id_hex(char *out, size_t digits)
{
    uint8_t bytes[ID_HEX_MAX / 2];
    assert(digits % 2 == 0 && digits <= ID_HEX_MAX);
    fill_random(bytes, digits / 2);
    *append_hex(out, bytes, digits / 2) = '\0';
}

bool id_is_token(const char *text, size_t len)
{
    if (len < 1 || len > ID_TOKEN_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        bool alphanumeric = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!alphanumeric && c != '_' && c != '-')
            return false;
    }
    return true;
}

bool id_is_token_text(const char *text)
{
    return id_is_token(text, strlen(text));
}

/* RFC 4648, section 5, without padding. */
static void append_base64url(char *out, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    int held = 0;
    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | bytes[i];
        for (held += 8; held >= 6; held -= 6)
            *out++ = digits[bits >> (held - 6) & 63];
    }
    if (held > 0)
        *out++ = digits[bits << (6 - held) & 63];
    *out = '\0';
}

static void hash(const void *bytes, size_t len, uint8_t digest[SHA256_BYTES])
{
    if (EVP_Digest(len > 0 ? bytes : "", len, digest, NULL, EVP_sha256(), NULL) != 1)
        abort(); /* SHA-256 is always there; only memory can be lacking */
}

void id_hash(const void *bytes, size_t len, char out[ID_HASH_SIZE])
{
    uint8_t digest[SHA256_BYTES];
    hash(bytes, len, digest);
    append_base64url(out, digest, sizeof digest);
}

void id_sha256(const void *bytes, size_t len, char out[ID_SHA256_SIZE])
{
    uint8_t digest[SHA256_BYTES];
    hash(bytes, len, digest);
    *append_hex(out, digest, sizeof digest) = '\0';
}
