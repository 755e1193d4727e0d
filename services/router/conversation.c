#include "conversation.h"

#include "mem.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

/* Of one turn in a packed conversation: tag and length. */
#define TURN_FRAME_BYTES 6
/* Of one packed turn besides its texts and steps: id, state, times, tags and lengths. */
#define TURN_FIXED_BYTES 192

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
static void cut_turn(Parley__ConversationTurn *turn, size_t max, struct buf *question, struct buf *answer)
{
    if (framed_size(turn) <= max)
        return;
    turn->n_steps = 0;
    size_t room = max > 2 * TURN_FIXED_BYTES ? max - TURN_FIXED_BYTES : max / 2;
    size_t for_question = turn->answer.len < room / 2 ? room - turn->answer.len : room / 2;
    cut_text(&turn->question, for_question, question);
    cut_text(&turn->answer, room - turn->question.len, answer);
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

static bool holds_turn(const Parley__Conversation *conversation, const char *turn)
{
    for (size_t i = 0; i < conversation->n_turns; i++)
        if (strcmp(conversation->turns[i]->turn, turn) == 0)
            return true;
    return false;
}

static void pack_with(const Parley__Conversation *stored, Parley__ConversationTurn *newest,
                      const struct conversation_limits *limits, struct buf *out)
{
    size_t count = stored->n_turns + 1;
    Parley__ConversationTurn **turns = mem_alloc(count * sizeof *turns);
    if (stored->n_turns > 0)
        memcpy(turns, stored->turns, stored->n_turns * sizeof *turns);
    turns[count - 1] = newest;

    size_t surplus = count_surplus(turns, count, limits);
    Parley__Conversation whole = PARLEY__CONVERSATION__INIT;
    whole.turns = turns + surplus;
    whole.n_turns = count - surplus;
    buf_reset(out);
    wire_pack(&whole.base, out);
    free(turns);
}

int conversation_append(struct wire_arena *arena, const void *stored, size_t len, const Parley__ConversationTurn *turn,
                        const struct conversation_limits *limits, struct buf *out, bool *added)
{
    Parley__Conversation empty = PARLEY__CONVERSATION__INIT;
    Parley__Conversation *conversation = &empty;
    if (len > 0) {
        int err = wire_unpack(arena, &parley__conversation__descriptor, stored, len, &conversation);
        if (err)
            return err;
    }
    *added = !holds_turn(conversation, turn->turn);
    if (!*added)
        return ERR_NONE;

    struct buf question = {0}, answer = {0};
    Parley__ConversationTurn newest = *turn;
    cut_turn(&newest, limits->max_bytes, &question, &answer);
    pack_with(conversation, &newest, limits, out);
    buf_deinit(&question);
    buf_deinit(&answer);
    return ERR_NONE;
}
