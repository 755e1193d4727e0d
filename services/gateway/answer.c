#include "answer.h"

#include "mem.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

/* Above any that the agents' own limit on tool rounds allows. */
#define STEPS_MAX 10000

void answer_init(struct answer *answer, size_t max_bytes)
{
    *answer = (struct answer){.max_bytes = max_bytes};
}

void answer_deinit(struct answer *answer)
{
    for (uint32_t i = 0; i < answer->step_count; i++) {
        free(answer->steps[i].call);
        free(answer->steps[i].name);
        buf_deinit(&answer->steps[i].data);
    }
    free(answer->steps);
    free(answer->vendor);
    free(answer->model);
    buf_deinit(&answer->text);
    buf_deinit(&answer->reason);
    buf_deinit(&answer->apology);
    *answer = (struct answer){0};
}

bool answer_hear(struct answer *answer, uint32_t attempt)
{
    if (attempt < answer->attempt)
        return false;
    answer->attempt = attempt;
    if (attempt > 0)
        answer->started = true; /* even if the event that says so was lost */
    return true;
}

static void set_text(char **to, const char *text)
{
    if (!text || !text[0])
        return;
    free(*to);
    *to = mem_strdup(text);
}

void answer_start(struct answer *answer, const char *vendor, const char *model)
{
    answer->started = true;
    set_text(&answer->vendor, vendor);
    set_text(&answer->model, model);
}

void answer_number(struct answer *answer, uint64_t message_id, int64_t started_ms)
{
    if (message_id > 0)
        answer->message_id = message_id;
    if (started_ms > 0)
        answer->started_ms = started_ms;
}

static enum answer_news note_gap(struct answer *answer, uint64_t length, uint32_t steps)
{
    if (length > answer->gap_length)
        answer->gap_length = length;
    if (steps > answer->gap_steps)
        answer->gap_steps = steps;
    return ANSWER_GAP;
}

enum answer_news answer_add_text(struct answer *answer, uint64_t offset, const void *text, size_t len)
{
    if (offset > answer->text.len)
        return note_gap(answer, offset, 0);
    size_t known = answer->text.len - (size_t)offset;
    size_t repeated = known < len ? known : len;
    if (repeated > 0 && memcmp(answer->text.data + offset, text, repeated) != 0)
        return ANSWER_BROKEN;
    if (repeated == len)
        return ANSWER_KNOWN;
    const char *fresh = (const char *)text + repeated;
    if (!utf8_valid(fresh, len - repeated))
        return ANSWER_BROKEN;
    if (len - repeated > answer->max_bytes - answer->text.len)
        return ANSWER_TOO_LARGE;
    buf_append(&answer->text, fresh, len - repeated);
    return ANSWER_NEW;
}

static struct answer_step *new_step(struct answer *answer)
{
    if (answer->step_count == answer->step_capacity) {
        answer->step_capacity = answer->step_capacity ? answer->step_capacity * 2 : 4;
        answer->steps = mem_realloc(answer->steps, answer->step_capacity * sizeof *answer->steps);
    }
    struct answer_step *step = &answer->steps[answer->step_count++];
    *step = (struct answer_step){0};
    return step;
}

/* Whether text can be cut here: a step must not stand within a code point. */
static bool is_between_code_points(const struct buf *text, uint64_t offset)
{
    return offset == text->len || ((unsigned char)text->data[offset] & 0xc0) != 0x80;
}

enum answer_news answer_add_step(struct answer *answer, const struct answer_tool *tool)
{
    if (tool->step == 0)
        return ANSWER_BROKEN;
    if (tool->step <= answer->step_count)
        return ANSWER_KNOWN;
    if (tool->step > answer->step_count + 1 || tool->offset > answer->text.len)
        return note_gap(answer, tool->offset, tool->step - 1);
    if (!is_between_code_points(&answer->text, tool->offset))
        return ANSWER_BROKEN;
    if (answer->step_count >= STEPS_MAX)
        return ANSWER_TOO_LARGE;
    struct answer_step *step = new_step(answer);
    step->finished = tool->finished;
    step->ok = tool->ok;
    step->offset = tool->offset;
    step->call = mem_strdup(tool->call);
    step->name = mem_strdup(tool->name);
    /* What a tool said is shown, not needed: too much of it must not end an answer. */
    if (tool->data_len <= answer->max_bytes - answer->step_bytes && utf8_valid(tool->data, tool->data_len)) {
        buf_append(&step->data, tool->data, tool->data_len);
        answer->step_bytes += tool->data_len;
    }
    return ANSWER_NEW;
}

enum answer_news answer_stands_at(struct answer *answer, uint64_t length, uint32_t steps)
{
    bool reached = length <= answer->text.len && steps <= answer->step_count;
    return reached ? ANSWER_KNOWN : note_gap(answer, length, steps);
}

enum answer_news answer_finish(struct answer *answer, enum answer_end end, uint64_t length, uint32_t steps)
{
    if (answer->end != ANSWER_OPEN)
        return answer_ended(answer) ? ANSWER_KNOWN : note_gap(answer, answer->end_length, answer->end_steps);
    answer->end = end;
    answer->end_length = length;
    answer->end_steps = steps;
    return answer_ended(answer) ? ANSWER_NEW : note_gap(answer, length, steps);
}

void answer_set_reason(struct answer *answer, const void *reason, size_t len)
{
    if (answer->end != ANSWER_OPEN)
        return;
    buf_reset(&answer->reason);
    utf8_append_repaired(&answer->reason, reason, len);
}

void answer_set_apology(struct answer *answer, const void *apology, size_t len)
{
    buf_reset(&answer->apology);
    utf8_append_repaired(&answer->apology, apology, len);
}

void answer_finish_here(struct answer *answer, enum answer_end end)
{
    answer->end = end;
    answer->end_length = answer->text.len;
    answer->end_steps = answer->step_count;
}

bool answer_has_gap(const struct answer *answer)
{
    return answer->text.len < answer->gap_length || answer->step_count < answer->gap_steps;
}

bool answer_ended(const struct answer *answer)
{
    return answer->end != ANSWER_OPEN && answer->text.len >= answer->end_length &&
           answer->step_count >= answer->end_steps;
}
