#include "segments.h"

#include "mem.h"
#include "store_call.h"
#include "subjects.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct segments_reading {
    struct bus *bus;
    const char *turn;
    enum segmented what;
    uint32_t next, end;
    struct buf *out;
    segments_handler *done;
    void *arg;
    struct segments_reading **slot;
    struct store_call *call;
};

void segment_key(const char *turn, enum segmented what, uint32_t number, char out[SEGMENT_KEY_SIZE])
{
    snprintf(out, SEGMENT_KEY_SIZE, "%s.%s%" PRIu32, turn, what == SEGMENTED_STEPS ? "s" : "", number);
}

static void finish(struct segments_reading *reading, int err)
{
    segments_handler *done = reading->done;
    void *arg = reading->arg;
    segments_cancel(reading->slot);
    done(arg, err);
}

static void read_next(struct segments_reading *reading);

static void on_segment(void *arg, int err, const void *value, size_t len, uint64_t revision)
{
    (void)revision;
    struct segments_reading *reading = arg;
    if (!err && len != SEGMENT_BYTES)
        err = ERR_NOT_FOUND;
    if (err) {
        finish(reading, err);
        return;
    }
    buf_append(reading->out, value, len);
    reading->next++;
    read_next(reading);
}

static void read_next(struct segments_reading *reading)
{
    char key[SEGMENT_KEY_SIZE];
    if (reading->next >= reading->end) {
        finish(reading, ERR_NONE);
        return;
    }
    segment_key(reading->turn, reading->what, reading->next, key);
    store_call_get(reading->bus, BUCKET_TURNS, key, on_segment, reading, &reading->call);
}

void segments_read(struct bus *bus, const char *turn, enum segmented what, uint32_t first, uint32_t end,
                   struct buf *out, segments_handler *done, void *arg, struct segments_reading **slot)
{
    struct segments_reading *reading = mem_alloc(sizeof *reading);
    *reading = (struct segments_reading){.bus = bus,
                                         .turn = turn,
                                         .what = what,
                                         .next = first,
                                         .end = end,
                                         .out = out,
                                         .done = done,
                                         .arg = arg,
                                         .slot = slot};
    *slot = reading;
    read_next(reading);
}

void segments_cancel(struct segments_reading **reading)
{
    if (!*reading)
        return;
    store_call_forget(&(*reading)->call);
    free(*reading);
    *reading = NULL;
}
