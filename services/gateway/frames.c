#include "frames.h"

#include "json.h"
#include "mem.h"
#include "web.h"

#include <inttypes.h>
#include <stdlib.h>

#define KEPT_BYTES (256 << 10)

void frames_deinit(struct frames *frames)
{
    for (size_t i = 0; i < frames->capacity; i++)
        buf_deinit(&frames->list[i]);
    free(frames->list);
    *frames = (struct frames){0};
}

void frames_reset(struct frames *frames)
{
    for (size_t i = 0; i < frames->count; i++)
        if (frames->list[i].cap > KEPT_BYTES)
            buf_deinit(&frames->list[i]);
    frames->count = 0;
}

struct buf *frames_add(struct frames *frames)
{
    if (frames->count == frames->capacity) {
        frames->list = mem_realloc(frames->list, (frames->capacity + 1) * sizeof *frames->list);
        frames->list[frames->capacity++] = (struct buf){0};
    }
    struct buf *frame = &frames->list[frames->count++];
    web_frame_begin(frame);
    return frame;
}

void frames_add_json(struct frames *frames, json_t *value)
{
    json_append_take(frames_add(frames), value);
}

static void append_escaped(struct buf *frame, unsigned char c)
{
    switch (c) {
    case '"':
        buf_append(frame, "\\\"", 2);
        break;
    case '\\':
        buf_append(frame, "\\\\", 2);
        break;
    case '\n':
        buf_append(frame, "\\n", 2);
        break;
    default:
        buf_printf(frame, "\\u%04x", c);
    }
}

void frames_append_text(struct buf *frame, const char *text, size_t len)
{
    buf_append_char(frame, '"');
    size_t start = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_append(frame, text + start, i - start);
        append_escaped(frame, c);
        start = i + 1;
    }
    buf_append(frame, text + start, len - start);
    buf_append_char(frame, '"');
}

void frames_append_seconds(struct buf *frame, double seconds)
{
    int64_t micros = (int64_t)(seconds * 1e6 + 0.5);
    buf_printf(frame, "%" PRId64 ".%06" PRId64, micros / 1000000, micros % 1000000);
}
