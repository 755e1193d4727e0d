#include "sse.h"

#include <string.h>

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

struct span {
    const char *bytes;
    size_t len;
};

void sse_init(struct sse *sse, size_t limit_bytes)
{
    *sse = (struct sse){.limit = limit_bytes};
}

void sse_deinit(struct sse *sse)
{
    buf_deinit(&sse->line);
    buf_deinit(&sse->data);
    buf_deinit(&sse->event);
}

/* True where `more` bytes still fit into the event under way. */
static bool room_for(struct sse *sse, size_t more)
{
    size_t used = sse->line.len + sse->data.len + sse->event.len;
    if (used > sse->limit || more > sse->limit - used)
        sse->too_large = true;
    return !sse->too_large;
}

static bool is_field(const char *name, struct span field)
{
    return field.len == strlen(name) && memcmp(field.bytes, name, field.len) == 0;
}

static void take_field(struct sse *sse, struct span field, struct span value)
{
    if (is_field("data", field)) {
        buf_append(&sse->data, value.bytes, value.len);
        buf_append_char(&sse->data, '\n'); /* the last one is dropped when the event is complete */
    } else if (is_field("event", field)) {
        buf_reset(&sse->event);
        buf_append(&sse->event, value.bytes, value.len);
    }
}

static void complete_event(struct sse *sse, sse_handler *handler, void *arg)
{
    if (sse->data.len > 0) {
        sse->data.data[--sse->data.len] = '\0';
        handler(arg, sse->event.len > 0 ? sse->event.data : "message", sse->data.data, sse->data.len);
    }
    buf_reset(&sse->data);
    buf_reset(&sse->event);
}

/* A whole line, without its end. */
static void take_line(struct sse *sse, struct span line, sse_handler *handler, void *arg)
{
    size_t mark = strlen(BYTE_ORDER_MARK);
    if (!sse->started && line.len >= mark && memcmp(line.bytes, BYTE_ORDER_MARK, mark) == 0)
        line = (struct span){line.bytes + mark, line.len - mark};
    sse->started = true;
    if (line.len == 0) {
        complete_event(sse, handler, arg);
        return;
    }
    const char *colon = memchr(line.bytes, ':', line.len);
    struct span field = {line.bytes, colon ? (size_t)(colon - line.bytes) : line.len};
    struct span value = {NULL, 0};
    if (colon) {
        const char *begin = colon + 1, *end = line.bytes + line.len;
        if (begin < end && *begin == ' ')
            begin++;
        value = (struct span){begin, (size_t)(end - begin)};
    }
    take_field(sse, field, value);
}

/* The line ends here: `tail` is its part that came with this read. Only a line cut by a read is ever copied. */
static void end_line(struct sse *sse, struct span tail, sse_handler *handler, void *arg)
{
    if (!room_for(sse, tail.len))
        return;
    if (sse->line.len == 0) {
        take_line(sse, tail, handler, arg);
        return;
    }
    buf_append(&sse->line, tail.bytes, tail.len);
    struct buf line = {0};
    buf_move(&line, &sse->line); /* so that its bytes are not counted twice */
    take_line(sse, (struct span){line.data, line.len}, handler, arg);
    buf_reset(&line);
    buf_move(&sse->line, &line);
}

int sse_feed(struct sse *sse, const char *bytes, size_t len, sse_handler *handler, void *arg)
{
    const char *end = bytes + len;
    const char *begin = bytes;
    for (const char *at = bytes; at < end && !sse->too_large; at++) {
        bool second_half = *at == '\n' && sse->after_cr;
        sse->after_cr = *at == '\r';
        if (second_half) {
            begin = at + 1;
        } else if (*at == '\n' || *at == '\r') {
            end_line(sse, (struct span){begin, (size_t)(at - begin)}, handler, arg);
            begin = at + 1;
        }
    }
    if (!sse->too_large && room_for(sse, (size_t)(end - begin)))
        buf_append(&sse->line, begin, (size_t)(end - begin));
    return sse->too_large ? ERR_TOO_LARGE : ERR_NONE;
}
