/* Server-sent events (WHATWG HTML, section 9.2), incrementally: bytes in as they come, cut anywhere; events out. */
#ifndef PARLEY_SSE_H
#define PARLEY_SSE_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>

struct sse {
    struct buf line;  /* of which the end has not come */
    struct buf data;  /* of the event under way */
    struct buf event; /* its type */
    size_t limit;     /* bytes of one event */
    bool after_cr;
    bool started; /* the byte order mark has been looked for */
    bool too_large;
};

/* One event; `type` is "message" where none was given. Lent until it returns. */
typedef void sse_handler(void *arg, const char *type, const char *data, size_t len);

void sse_init(struct sse *sse, size_t limit_bytes);
void sse_deinit(struct sse *sse);
/* Lines end with LF, CR or CRLF; comments, `id` and `retry` are skipped; data lines are joined with LF; an event
 * without data is none. ERR_TOO_LARGE when a line or an event outgrows the limit; then nothing more is read. */
int sse_feed(struct sse *sse, const char *bytes, size_t len, sse_handler *handler, void *arg) MUST_CHECK;

#endif
