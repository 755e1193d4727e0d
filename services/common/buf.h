/* A growing run of bytes. It may hold U+0000; `data` is nevertheless always followed by a zero byte once anything was
 * appended, so that it can be handed to what wants a C string. */
#ifndef PARLEY_BUF_H
#define PARLEY_BUF_H

#include <stdarg.h>
#include <stddef.h>

struct buf {
    char *data; /* NULL while nothing was ever appended */
    size_t len;
    size_t cap;
};

void buf_deinit(struct buf *buf); /* frees and empties; may be called again */
void buf_reset(struct buf *buf);  /* len 0, memory kept */
void buf_reserve(struct buf *buf, size_t more);
void buf_append(struct buf *buf, const void *bytes, size_t len);
void buf_append_text(struct buf *buf, const char *text);
void buf_append_char(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Drops the first `len` bytes (at most all of them). Moves the rest. */
void buf_consume(struct buf *buf, size_t len);
/* Moves what `from` holds into `to`, whose content is freed first. `from` is empty afterwards. */
void buf_move(struct buf *to, struct buf *from);

#endif
