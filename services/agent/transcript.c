#include "transcript.h"

#include "mem.h"

#include <assert.h>
#include <stdlib.h>

void transcript_deinit(struct transcript *transcript)
{
    for (size_t i = 0; i < transcript->step_count; i++) {
        struct step *step = &transcript->steps[i];
        free(step->call);
        free(step->name);
        buf_deinit(&step->arguments);
        buf_deinit(&step->result);
    }
    free(transcript->steps);
    buf_deinit(&transcript->text);
    buf_deinit(&transcript->packed);
    *transcript = (struct transcript){0};
}

struct step *transcript_add(struct transcript *transcript, uint32_t round, const char *call, const char *name,
                            const void *arguments, size_t len)
{
    size_t count = transcript->step_count + 1;
    transcript->steps = mem_realloc(transcript->steps, count * sizeof *transcript->steps);
    struct step *step = &transcript->steps[transcript->step_count];

    *step = (struct step){
        .round = round, .call = mem_strdup(call), .name = mem_strdup(name), .offset = transcript->text.len};
    buf_append(&step->arguments, arguments, len);
    transcript->step_bytes += len;
    transcript->step_count = count;
    return step;
}

static void finish(struct transcript *transcript, size_t index, bool ok, const void *result, size_t len)
{
    struct step *step = &transcript->steps[index];

    assert(index < transcript->step_count && !step->finished);
    step->finished = true;
    step->ok = ok;
    buf_append(&step->result, result, len);
    transcript->step_bytes += len;
}

static void pack_steps(struct transcript *transcript)
{
    Parley__ToolSteps message = PARLEY__TOOL_STEPS__INIT;
    struct stored_steps steps;

    stored_steps_init(&steps, transcript, transcript->packed_count);
    message.n_steps = steps.count;
    message.steps = steps.pointers;
    wire_pack(&message.base, &transcript->packed);
    stored_steps_deinit(&steps);
    transcript->packed_count = transcript->step_count;
}

void transcript_finish(struct transcript *transcript, size_t index, bool ok, const void *result, size_t len)
{
    finish(transcript, index, ok, result, len);
    if (transcript_round_finished(transcript))
        pack_steps(transcript);
}

uint32_t transcript_round(const struct transcript *transcript)
{
    return transcript->step_count > 0 ? transcript->steps[transcript->step_count - 1].round : 0;
}

size_t transcript_round_begin(const struct transcript *transcript)
{
    uint32_t round = transcript_round(transcript);
    size_t begin = transcript->step_count;

    while (begin > 0 && transcript->steps[begin - 1].round == round)
        begin--;
    return begin;
}

/* Finished steps from `begin` on, up to the first that is not. */
static size_t finished_from(const struct transcript *transcript, size_t begin)
{
    size_t end = begin;

    while (end < transcript->step_count && transcript->steps[end].finished)
        end++;
    return end - begin;
}

bool transcript_round_finished(const struct transcript *transcript)
{
    for (size_t i = transcript_round_begin(transcript); i < transcript->step_count; i++)
        if (!transcript->steps[i].finished)
            return false;
    return true;
}

size_t transcript_tail(const struct transcript *transcript)
{
    return transcript->step_count > 0 ? transcript->steps[transcript->step_count - 1].offset : 0;
}

uint32_t transcript_event_count(const struct transcript *transcript)
{
    if (transcript->step_count == 0)
        return 0;
    size_t begin = transcript_round_begin(transcript);
    /* every earlier round is whole: two events a step */
    return (uint32_t)(begin + transcript->step_count + finished_from(transcript, begin));
}

struct step_event transcript_event(const struct transcript *transcript, uint32_t number)
{
    size_t begin = 0;
    size_t index = number - 1; /* counted from the round's first event */

    assert(number >= 1 && number <= transcript_event_count(transcript));
    for (;;) {
        size_t end = begin;
        while (end < transcript->step_count && transcript->steps[end].round == transcript->steps[begin].round)
            end++;
        size_t calls = end - begin;
        if (index < 2 * calls)
            return (struct step_event){&transcript->steps[begin + index % calls], index >= calls};
        index -= 2 * calls;
        begin = end;
    }
}

void stored_steps_init(struct stored_steps *stored, const struct transcript *transcript, size_t first)
{
    *stored = (struct stored_steps){.count = transcript->step_count - first};
    if (stored->count == 0)
        return;
    stored->items = mem_alloc(stored->count * sizeof *stored->items);
    stored->pointers = mem_alloc(stored->count * sizeof(Parley__ToolStep *));
    for (size_t i = 0; i < stored->count; i++) {
        const struct step *step = &transcript->steps[first + i];
        Parley__ToolStep *item = &stored->items[i];
        parley__tool_step__init(item);
        item->round = step->round;
        item->call = step->call;
        item->name = step->name;
        item->arguments = (ProtobufCBinaryData){step->arguments.len, (uint8_t *)step->arguments.data};
        item->offset = step->offset;
        item->finished = step->finished;
        item->ok = step->ok;
        item->result = (ProtobufCBinaryData){step->result.len, (uint8_t *)step->result.data};
        stored->pointers[i] = item;
    }
}

void stored_steps_deinit(struct stored_steps *stored)
{
    free(stored->items);
    free(stored->pointers);
    *stored = (struct stored_steps){0};
}

/* So that another can follow. */
static void finish_round(struct transcript *transcript)
{
    static const char lost[] = "the result was lost";

    for (size_t i = transcript_round_begin(transcript); i < transcript->step_count; i++)
        if (!transcript->steps[i].finished)
            finish(transcript, i, false, lost, sizeof lost - 1);
}

void transcript_load_steps(struct transcript *transcript, Parley__ToolStep *const *steps, size_t count)
{
    size_t offset = transcript_tail(transcript);

    for (size_t i = 0; i < count; i++) {
        const Parley__ToolStep *from = steps[i];
        if (from->round != transcript_round(transcript))
            finish_round(transcript);
        if (from->offset > offset)
            offset = from->offset < transcript->text.len ? (size_t)from->offset : transcript->text.len;
        struct step *step =
            transcript_add(transcript, from->round, from->call, from->name, from->arguments.data, from->arguments.len);
        step->offset = offset;
        if (from->finished)
            finish(transcript, transcript->step_count - 1, from->ok, from->result.data, from->result.len);
    }
}

int transcript_load_packed(struct transcript *transcript, struct wire_arena *arena)
{
    Parley__ToolSteps *steps;
    int err =
        wire_unpack(arena, &parley__tool_steps__descriptor, transcript->packed.data, transcript->packed.len, &steps);

    if (err != ERR_NONE)
        return err;
    transcript_load_steps(transcript, steps->steps, steps->n_steps);
    transcript->packed_count = transcript->step_count;
    return ERR_NONE;
}
