#include "buf.h"

#include "mem.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST_CAP 64

void buf_deinit(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){0};
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    if (buf->data)
        buf->data[0] = '\0';
}

void buf_reserve(struct buf *buf, size_t more)
{
    /* Sizes are bounded long before this; a sum that overflows is our own bug, and fatal in every build. */
    if (more > SIZE_MAX / 2 - buf->len - 1)
        abort();
    size_t need = buf->len + more + 1;
    if (need <= buf->cap)
        return;
    size_t cap = buf->cap ? buf->cap * 2 : BUF_FIRST_CAP;
    buf->cap = cap < need ? need : cap;
    buf->data = mem_realloc(buf->data, buf->cap);
    buf->data[buf->len] = '\0';
}

void buf_append(struct buf *buf, const void *bytes, size_t len)
{
    buf_reserve(buf, len);
    if (len > 0)
        memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void buf_append_text(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void buf_append_char(struct buf *buf, char c)
{
    buf_append(buf, &c, 1);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    size_t room = buf->cap - buf->len;
    int len = vsnprintf(room > 0 ? buf->data + buf->len : NULL, room, format, args);
    va_end(args);
    assert(len >= 0);
    if (len > 0 && (size_t)len >= room) { /* cut short: once more, with room for all of it */
        buf_reserve(buf, (size_t)len);
        vsnprintf(buf->data + buf->len, (size_t)len + 1, format, again);
    }
    buf->len += (size_t)len;
    va_end(again);
}

void buf_consume(struct buf *buf, size_t len)
{
    if (len >= buf->len) {
        buf_reset(buf);
        return;
    }
    buf->len -= len;
    memmove(buf->data, buf->data + len, buf->len + 1);
}

void buf_move(struct buf *to, struct buf *from)
{
    assert(to != from);
    free(to->data);
    *to = *from;
    *from = (struct buf){0};
}
