#include "conversation.h"

#include "id.h"
#include "mem.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

/* Of one turn in a packed conversation: tag and length. */
#define TURN_FRAME_BYTES 6
/* Of one packed turn besides its texts and steps: ids, state, times, tags and lengths. */
#define TURN_FIXED_BYTES 256
/* Of the turns that are gone: tag, length, and a fixed64 each. */
#define GONE_MAX_BYTES (3 + CONVERSATION_GONE_MAX * sizeof(uint64_t))

static size_t framed_size(const Parley__ConversationTurn *turn)
{
    return parley__conversation_turn__get_packed_size(turn) + TURN_FRAME_BYTES;
}

/* Cuts `text` to at most `max` bytes, the mark included; `room` keeps the shorter text. */
static void cut_text(ProtobufCBinaryData *text, size_t max, struct buf *room)
{
    if (text->len <= max)
        return;
    const size_t mark = strlen(CONVERSATION_CUT_MARK);
    size_t kept = max > mark ? utf8_cut((const char *)text->data, text->len, max - mark) : 0;
    buf_append(room, text->data, kept);
    buf_append_text(room, CONVERSATION_CUT_MARK);
    text->data = (uint8_t *)room->data;
    text->len = room->len;
}

/* A long question leaves the answer half of the room, and the other way round. */
static void cut_texts(Parley__ConversationTurn *turn, size_t max, struct buf *question, struct buf *answer)
{
    size_t room = max > 2 * TURN_FIXED_BYTES ? max - TURN_FIXED_BYTES : max / 2;
    size_t for_question = turn->answer.len < room / 2 ? room - turn->answer.len : room / 2;
    cut_text(&turn->question, for_question, question);
    cut_text(&turn->answer, room - turn->question.len, answer);
}

static void fit_turn(Parley__ConversationTurn *turn, size_t max, struct buf *question, struct buf *answer)
{
    if (framed_size(turn) > max)
        turn->n_steps = 0;
    if (framed_size(turn) > max)
        turn->chain = (ProtobufCBinaryData){0};
    if (framed_size(turn) > max)
        cut_texts(turn, max, question, answer);
}

/* How many of the oldest turns have to go. */
static size_t count_surplus(Parley__ConversationTurn *const *turns, size_t count,
                            const struct conversation_limits *limits)
{
    size_t first = count - 1;
    size_t bytes = framed_size(turns[first]);
    while (first > 0 && count - first < limits->max_turns) {
        bytes += framed_size(turns[first - 1]);
        if (bytes > limits->max_bytes)
            break;
        first--;
    }
    return first;
}

/* A conversation on its way from one packed form to the next. */
struct draft {
    Parley__ConversationTurn **turns; /* with room for one more */
    size_t count;
    uint64_t message_ids;
    uint64_t gone[CONVERSATION_GONE_MAX];
    size_t gone_count;
};

static uint64_t mark_of(const char *turn)
{
    char digits[ID_SHA256_SIZE];
    id_sha256(turn, strlen(turn), digits);
    digits[2 * sizeof(uint64_t)] = '\0';
    return strtoull(digits, NULL, 16);
}

static bool draft_is_gone(const struct draft *draft, const char *turn)
{
    uint64_t mark = mark_of(turn);
    for (size_t i = 0; i < draft->gone_count; i++)
        if (draft->gone[i] == mark)
            return true;
    return false;
}

static void draft_add_gone(struct draft *draft, uint64_t mark)
{
    if (draft->gone_count == CONVERSATION_GONE_MAX)
        memmove(draft->gone, draft->gone + 1, --draft->gone_count * sizeof *draft->gone);
    draft->gone[draft->gone_count++] = mark;
}

static int draft_init(struct draft *draft, struct wire_arena *arena, const void *stored, size_t len)
{
    Parley__Conversation empty = PARLEY__CONVERSATION__INIT;
    Parley__Conversation *conversation = &empty;
    if (len > 0) {
        int err = wire_unpack(arena, &parley__conversation__descriptor, stored, len, &conversation);
        if (err)
            return err;
    }
    draft->message_ids = conversation->message_ids;
    draft->gone_count = 0;
    for (size_t i = 0; i < conversation->n_gone; i++)
        draft_add_gone(draft, conversation->gone[i]);
    draft->count = conversation->n_turns;
    draft->turns = mem_alloc((draft->count + 1) * sizeof *draft->turns);
    if (draft->count > 0)
        memcpy(draft->turns, conversation->turns, draft->count * sizeof *draft->turns);
    return ERR_NONE;
}

/* Its index; the number of turns where it is not there. */
static size_t draft_find(const struct draft *draft, const char *turn)
{
    size_t i = 0;
    while (i < draft->count && strcmp(draft->turns[i]->turn, turn) != 0)
        i++;
    return i;
}

/* Packs it with `turn` in this place, which may be that after the last. */
static void draft_pack(struct draft *draft, size_t place, const Parley__ConversationTurn *turn,
                       const struct conversation_limits *limits, struct buf *out)
{
    struct buf question = {0}, answer = {0};
    Parley__ConversationTurn fitting = *turn;
    const struct conversation_limits room = {limits->max_turns, limits->max_bytes - GONE_MAX_BYTES};
    fit_turn(&fitting, room.max_bytes, &question, &answer);
    draft->turns[place] = &fitting;
    if (place == draft->count)
        draft->count++;

    size_t surplus = count_surplus(draft->turns, draft->count, &room);
    for (size_t i = 0; i < surplus; i++)
        draft_add_gone(draft, mark_of(draft->turns[i]->turn));
    Parley__Conversation whole = PARLEY__CONVERSATION__INIT;
    whole.turns = draft->turns + surplus;
    whole.n_turns = draft->count - surplus;
    whole.message_ids = draft->message_ids;
    whole.gone = draft->gone;
    whole.n_gone = draft->gone_count;
    buf_reset(out);
    wire_pack(&whole.base, out);
    buf_deinit(&question);
    buf_deinit(&answer);
}

int conversation_ask(struct wire_arena *arena, const void *stored, size_t len, Parley__ConversationTurn *turn,
                     const struct conversation_limits *limits, struct buf *out, bool *changed)
{
    struct draft draft;
    int err = draft_init(&draft, arena, stored, len);
    if (err)
        return err;
    size_t place = draft_find(&draft, turn->turn);
    *changed = place == draft.count;
    if (*changed) {
        bool answered = turn->state == PARLEY__TURN_STATE__TURN_STATE_RUNNING;
        turn->question_id = ++draft.message_ids;
        turn->answer_id = answered ? ++draft.message_ids : 0;
        draft_pack(&draft, place, turn, limits, out);
    } else {
        turn->question_id = draft.turns[place]->question_id;
        turn->answer_id = draft.turns[place]->answer_id;
    }
    free(draft.turns);
    return ERR_NONE;
}

int conversation_end(struct wire_arena *arena, const void *stored, size_t len, const Parley__ConversationTurn *turn,
                     const struct conversation_limits *limits, struct buf *out, bool *changed)
{
    struct draft draft;
    int err = draft_init(&draft, arena, stored, len);
    if (err)
        return err;
    size_t place = draft_find(&draft, turn->turn);
    bool asked = place < draft.count;
    *changed = asked ? draft.turns[place]->state == PARLEY__TURN_STATE__TURN_STATE_RUNNING
                     : turn->answer_id == 0 && !draft_is_gone(&draft, turn->turn);
    if (*changed) {
        Parley__ConversationTurn ended = asked ? *draft.turns[place] : *turn;
        ended.answer = turn->answer;
        ended.state = turn->state;
        ended.started_ms = turn->started_ms;
        ended.ended_ms = turn->ended_ms;
        ended.n_steps = turn->n_steps;
        ended.steps = turn->steps;
        draft_pack(&draft, place, &ended, limits, out);
    }
    free(draft.turns);
    return ERR_NONE;
}
