#include "recover_record.h"

#include "segments.h"
#include "turn_state.h"

#include <string.h>

bool recover_has_ended(const Parley__TurnRecord *record)
{
    return turn_state_is_final(record->state) || record->state == PARLEY__TURN_STATE__TURN_STATE_CANCEL_ASKED;
}

int recover_first_segment(const Parley__TurnRecord *record, uint64_t known, uint32_t *out)
{
    if (record->length != record->segments * (uint64_t)SEGMENT_BYTES + record->text.len)
        return ERR_INVALID;
    uint64_t first = known / SEGMENT_BYTES;
    *out = first < record->segments ? (uint32_t)first : record->segments;
    return ERR_NONE;
}

static Parley__TurnRecord make_record(const Parley__ConversationTurn *turn)
{
    static const char reason[] = "the answer failed";
    Parley__TurnRecord record = PARLEY__TURN_RECORD__INIT;
    record.turn = turn->turn;
    record.state = turn->state;
    record.attempt = 1;
    record.text = turn->answer;
    record.length = turn->answer.len;
    record.steps = turn->steps;
    record.n_steps = turn->n_steps;
    record.reason = (ProtobufCBinaryData){sizeof reason - 1, (uint8_t *)reason};
    record.started_ms = turn->started_ms;
    record.message_id = turn->answer_id;
    return record;
}

bool recover_find_turn(const Parley__Conversation *conversation, const char *turn, Parley__TurnRecord *out)
{
    for (size_t i = 0; i < conversation->n_turns; i++) {
        if (strcmp(conversation->turns[i]->turn, turn) == 0) {
            *out = make_record(conversation->turns[i]);
            return recover_has_ended(out);
        }
    }
    return false;
}

static bool has_step(const struct answer *answer, const char *call, bool finished)
{
    for (uint32_t i = 0; i < answer->step_count; i++)
        if (answer->steps[i].finished == finished && strcmp(answer->steps[i].call, call) == 0)
            return true;
    return false;
}

/* In the order of the record: which of two calls that ran together ended first is not kept there. */
static void add_step(struct answer *answer, const Parley__ToolStep *step, bool finished)
{
    if (has_step(answer, step->call, finished))
        return;
    const ProtobufCBinaryData *data = finished ? &step->result : &step->arguments;
    const struct answer_tool tool = {
        .step = answer->step_count + 1,
        .finished = finished,
        .ok = finished && step->ok,
        .offset = step->offset < answer->text.len ? step->offset : answer->text.len,
        .call = step->call,
        .name = step->name,
        .data = data->data,
        .data_len = data->len,
    };
    enum answer_news news = answer_add_step(answer, &tool);
    (void)news; /* one that makes no sense is left out: the answer is what counts now */
}

static enum answer_end end_of(const Parley__TurnRecord *record)
{
    switch (record->state) {
    case PARLEY__TURN_STATE__TURN_STATE_COMPLETED:
        return ANSWER_COMPLETED;
    case PARLEY__TURN_STATE__TURN_STATE_FAILED:
        return ANSWER_FAILED;
    default:
        return ANSWER_CANCELLED;
    }
}

void recover_apply_end(struct answer *answer, const Parley__TurnRecord *record)
{
    if (record->attempt > answer->attempt)
        answer->attempt = record->attempt;
    if (record->attempt > 0)
        answer_start(answer, record->vendor, record->model);
    answer_number(answer, record->message_id, record->started_ms);
    for (size_t i = 0; i < record->n_steps; i++) {
        add_step(answer, record->steps[i], false);
        if (record->steps[i]->finished)
            add_step(answer, record->steps[i], true);
    }
    if (record->state == PARLEY__TURN_STATE__TURN_STATE_FAILED)
        answer_set_reason(answer, record->reason.data, record->reason.len);
    answer_finish_here(answer, end_of(record));
}
