/* The head of an HTTP/1 request: found, and taken apart. Pure: no I/O, no clock, no log. RFC 9112, sections 2 to 6;
 * strict where leniency has let requests be smuggled: no bare line feeds, no folded lines, no white space before a
 * colon, one Host, one Content-Length of digits only, no Transfer-Encoding. */
#ifndef PARLEY_HTTP_HEAD_H
#define PARLEY_HTTP_HEAD_H

#include "buf.h"

#include <stdbool.h>
#include <stdint.h>

#define HTTP_HEAD_MAX   16384 /* bytes, with the blank line */
#define HTTP_FIELDS_MAX 64

struct http_field {
    const char *name; /* in lower case */
    const char *value;
};

/* Everything points into the bytes that were parsed. */
struct http_head {
    const char *method;
    const char *path;  /* percent-decoded, begins with '/', holds no control characters */
    const char *query; /* as it came; empty where there is none */
    struct http_field fields[HTTP_FIELDS_MAX];
    size_t field_count;
    int64_t content_length; /* 0 where none is given */
    int minor;              /* of HTTP/1.minor */
    bool keep_alive;
    bool expect_continue;
    bool websocket; /* asks for an upgrade to WebSocket; see http_head_check_websocket() */
};

/* The length of the head that `bytes` begins with, blank line included; 0 while its end has not come. `*scanned`, 0 at
 * first, remembers how far earlier calls have looked. */
size_t http_head_find(const char *bytes, size_t len, size_t *scanned);

/* Takes apart a head that http_head_find() has found; writes into `bytes`. Returns 0, or the status to refuse the
 * request with, after which the connection can't be used further: where the request ends is uncertain. */
int http_head_parse(struct http_head *head, char *bytes, size_t len);

/* RFC 6455, section 4.2.1. 0, or the status to refuse the upgrade with: 400, or 426 for a version other than 13. */
int http_head_check_websocket(const struct http_head *head);

/* A header's value; the first where several came; NULL where none. `name` in lower case. */
const char *http_head_field(const struct http_head *head, const char *name);

/* Appends the decoded value of the first query argument `name`. False where there is none, or it is badly encoded. */
bool http_head_argument(const struct http_head *head, const char *name, struct buf *out);

/* The reason phrase of a status; never NULL. */
const char *http_status_text(int status);

#endif
