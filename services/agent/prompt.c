#include "prompt.h"

#include "mem.h"
#include "utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGE_TOKENS 1000

static const char go_on[] =
    "Your last message broke off. Go on from exactly where it ends, in mid-word if need be: begin "
    "with the very next character, repeat nothing, and don't mention the interruption.";

static void add_text(struct prompt_draft *draft, enum role role, const void *text, size_t len)
{
    if (len == 0)
        return;
    draft->messages[draft->prompt.message_count++] = (struct prompt_message){.role = role, .text = text, .len = len};
}

static bool is_text(ProtobufCBinaryData bytes)
{
    return utf8_valid((const char *)bytes.data, bytes.len);
}

/* ---- The budget */

static size_t tokens_of(const void *text, size_t len)
{
    const unsigned char *bytes = text;
    size_t ascii = 0, others = 0;

    for (size_t i = 0; i < len; i++) {
        ascii += bytes[i] < 0x80;
        others += bytes[i] >= 0xc0; /* the first byte of a longer code point */
    }
    return (ascii + 3) / 4 + others;
}

static size_t tokens_of_steps(const struct transcript *transcript)
{
    size_t tokens = 0;

    for (size_t i = 0; i < transcript->step_count; i++) {
        const struct step *step = &transcript->steps[i];
        tokens += tokens_of(step->arguments.data, step->arguments.len) + tokens_of(step->result.data, step->result.len);
    }
    return tokens;
}

/* What is sent in any case. */
static size_t fixed_tokens(const struct prompt_input *input, size_t image_count)
{
    const Parley__Job *job = input->job;
    size_t tokens = tokens_of(job->question.data, job->question.len) + image_count * IMAGE_TOKENS +
                    tokens_of(input->transcript->text.data, input->transcript->text.len) +
                    tokens_of_steps(input->transcript);

    if (job->persona != NULL)
        tokens += tokens_of(job->persona->system_prompt.data, job->persona->system_prompt.len);
    for (size_t i = 0; i < input->tool_count; i++)
        tokens += tokens_of(input->tools[i].description, strlen(input->tools[i].description)) +
                  tokens_of(input->tools[i].parameters, strlen(input->tools[i].parameters));
    return tokens;
}

/* ---- What was said before */

/* Not: what an earlier attempt at this very turn has saved; what is still being answered, or was never (but for what
 * wanted no answer); and what is no text. */
static bool is_remembered(const struct prompt_input *input, const Parley__ConversationTurn *turn)
{
    bool wanted_none = turn->state == PARLEY__TURN_STATE__TURN_STATE_UNKNOWN;

    return strcmp(turn->turn, input->job->turn) != 0 && (turn->answer.len > 0 || wanted_none) &&
           is_text(turn->question) && is_text(turn->answer);
}

/* The oldest turn for which, with all later ones, there is room. */
static size_t first_turn(const struct prompt_input *input, size_t image_count)
{
    size_t used = fixed_tokens(input, image_count);
    size_t first = input->conversation != NULL ? input->conversation->n_turns : 0;

    for (; first > 0; first--) {
        const Parley__ConversationTurn *turn = input->conversation->turns[first - 1];
        if (!is_remembered(input, turn))
            continue;
        size_t tokens =
            tokens_of(turn->question.data, turn->question.len) + tokens_of(turn->answer.data, turn->answer.len);
        if (used + tokens > input->budget_tokens)
            break;
        used += tokens;
    }
    return first;
}

static void add_conversation(struct prompt_draft *draft, const struct prompt_input *input)
{
    size_t count = input->conversation != NULL ? input->conversation->n_turns : 0;

    for (size_t i = first_turn(input, draft->images.count); i < count; i++) {
        const Parley__ConversationTurn *turn = input->conversation->turns[i];
        if (!is_remembered(input, turn))
            continue;
        add_text(draft, ROLE_USER, turn->question.data, turn->question.len);
        add_text(draft, ROLE_ASSISTANT, turn->answer.data, turn->answer.len);
    }
}

static void add_question(struct prompt_draft *draft, const Parley__Job *job)
{
    draft->messages[draft->prompt.message_count++] = (struct prompt_message){
        .role = ROLE_USER,
        .text = (const char *)job->question.data,
        .len = job->question.len,
        .images = (const char *const *)draft->images.urls,
        .image_count = draft->images.count,
    };
}

/* ---- What this turn has said and done */

/* Providers bound the length of a call's id (OpenAI to 40 characters), so ours, which begins with the turn's, is not
 * used there. */
static void fill_call(struct prompt_draft *draft, const struct transcript *transcript, size_t index, size_t in_round)
{
    const struct step *step = &transcript->steps[index];

    snprintf(draft->call_ids[index], PROMPT_CALL_ID_SIZE, "call_%u_%zu", step->round, in_round);
    draft->calls[index] =
        (struct tool_call){.id = draft->call_ids[index], .name = step->name, .arguments = step->arguments};
}

/* A round: what was said before it, with the calls, and then their results. Returns where the next one begins. */
static size_t add_round(struct prompt_draft *draft, const struct transcript *transcript, size_t begin)
{
    const struct step *steps = transcript->steps;
    size_t said = begin > 0 ? steps[begin - 1].offset : 0;
    size_t end = begin;

    for (; end < transcript->step_count && steps[end].round == steps[begin].round; end++)
        fill_call(draft, transcript, end, end - begin);
    draft->messages[draft->prompt.message_count++] = (struct prompt_message){
        .role = ROLE_ASSISTANT,
        .text = steps[begin].offset > said ? transcript->text.data + said : "",
        .len = steps[begin].offset - said,
        .calls = draft->calls + begin,
        .call_count = end - begin,
    };
    for (size_t i = begin; i < end; i++)
        draft->messages[draft->prompt.message_count++] = (struct prompt_message){
            .role = ROLE_TOOL,
            .text = steps[i].result.data != NULL ? steps[i].result.data : "",
            .len = steps[i].result.len,
            .call_id = draft->call_ids[i],
        };
    return end;
}

static void add_transcript(struct prompt_draft *draft, const struct transcript *transcript,
                           enum continuation continuation)
{
    size_t tail = transcript_tail(transcript);

    for (size_t i = 0; i < transcript->step_count;)
        i = add_round(draft, transcript, i);
    if (transcript->text.len == tail)
        return;
    add_text(draft, ROLE_ASSISTANT, transcript->text.data + tail, transcript->text.len - tail);
    draft->asks_to_go_on = continuation == CONTINUE_ASK;
    if (draft->asks_to_go_on)
        add_text(draft, ROLE_USER, go_on, strlen(go_on));
}

static void allocate(struct prompt_draft *draft, const struct prompt_input *input)
{
    size_t turns = input->conversation != NULL ? input->conversation->n_turns : 0;
    size_t steps = input->transcript->step_count;

    /* system, question, tail, and to go on; two a turn; at most a round for each step */
    draft->messages = mem_alloc((4 + 2 * turns + 2 * steps) * sizeof *draft->messages);
    if (steps > 0) {
        draft->calls = mem_alloc(steps * sizeof *draft->calls);
        draft->call_ids = mem_alloc(steps * sizeof *draft->call_ids);
    }
}

void prompt_draft_init(struct prompt_draft *draft, const struct prompt_input *input)
{
    const Parley__Persona *persona = input->job->persona;

    *draft = (struct prompt_draft){0};
    allocate(draft, input);
    images_init(&draft->images, input->job->chain.data, input->job->chain.len);
    if (persona != NULL) {
        add_text(draft, ROLE_SYSTEM, persona->system_prompt.data, persona->system_prompt.len);
        if (persona->options.len > 0)
            draft->options = mem_strndup((const char *)persona->options.data, persona->options.len);
    }
    add_conversation(draft, input);
    add_question(draft, input->job);
    add_transcript(draft, input->transcript, input->continuation);
    draft->prompt.model = input->model;
    draft->prompt.continuation = input->continuation;
    draft->prompt.options = draft->options;
    draft->prompt.messages = draft->messages;
    draft->prompt.tools = input->tools;
    draft->prompt.tool_count = input->tool_count;
}

void prompt_draft_deinit(struct prompt_draft *draft)
{
    free(draft->messages);
    free(draft->calls);
    free(draft->call_ids);
    free(draft->options);
    images_deinit(&draft->images);
    *draft = (struct prompt_draft){0};
}
