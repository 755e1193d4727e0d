/* A turn while it runs: the model speaks, and tools work for it, in turns. */
#include "turn_internal.h"

#include "clock.h"
#include "log.h"
#include "prompt.h"

#include <stdlib.h>

static void ask_model(struct turn *turn);

static void note_first_token(struct turn *turn)
{
    turn->first_token = true;
    metric_observe(turn->agent->metrics.first_token_seconds, (double)(clock_monotonic_ms() - turn->began_ms) / 1000);
}

static void add_text(struct turn *turn, const char *text, size_t len)
{
    size_t max = (size_t)turn->agent->settings->max_answer_bytes;

    if (len > max || turn->transcript.text.len > max - len) {
        turn_fail(turn, "the answer is longer than %zu bytes", max);
        return;
    }
    if (!turn->first_token)
        note_first_token(turn);
    buf_append(&turn->transcript.text, text, len);
    metric_add(turn->agent->metrics.answer_bytes, (double)len);
    voice_say(&turn->voice);
    checkpoint_touch(turn->checkpoint);
}

/* Of the text after the last tool round: what the model goes on from. */
static struct buf said_since_round(const struct turn *turn)
{
    const struct buf *text = &turn->transcript.text;
    size_t tail = transcript_tail(&turn->transcript);

    return (struct buf){.data = text->data != NULL ? text->data + tail : NULL, .len = text->len - tail};
}

static void on_broken_off(struct turn *turn, const struct completion_result *result);

static void take_spliced(struct turn *turn, enum splice_verdict verdict)
{
    struct splice *splice = &turn->splice;

    if (verdict == SPLICE_OPEN)
        return;
    turn->splicing = false;
    if (verdict == SPLICE_AFRESH) {
        static const struct completion_result anew = {
            .err = ERR_INVALID, .reason = "the model began anew instead of going on", .resumable = true};
        completion_cancel(&turn->completion);
        on_broken_off(turn, &anew);
    } else if (splice->held.len > splice->overlap) {
        add_text(turn, splice->held.data + splice->overlap, splice->held.len - splice->overlap);
    }
}

static void on_text(void *arg, const char *text, size_t len)
{
    struct turn *turn = arg;

    if (turn->splicing) {
        const struct buf said = said_since_round(turn);
        take_spliced(turn, splice_add(&turn->splice, &said, text, len));
    } else {
        add_text(turn, text, len);
    }
    if (turn->end != PARLEY__TURN_STATE__TURN_STATE_UNKNOWN)
        turn_tick(turn);
}

static void take_usage(struct turn *turn, const struct provider_usage *usage)
{
    turn->usage.prompt_tokens += usage->prompt_tokens;
    turn->usage.answer_tokens += usage->answer_tokens;
    metric_add(turn->agent->metrics.prompt_tokens, (double)usage->prompt_tokens);
    metric_add(turn->agent->metrics.answer_tokens, (double)usage->answer_tokens);
}

static void on_broken_off(struct turn *turn, const struct completion_result *result)
{
    metric_add(turn->agent->metrics.provider_errors, 1);
    if (!result->resumable || turn->resumes >= turn->agent->settings->max_resumes) {
        log_warning("the model provider failed", LOG_TEXT("connection", turn->connection), LOG_TEXT("turn", turn->id),
                    LOG_TRACE(&turn->trace), LOG_INT("attempt", turn->attempt), LOG_TEXT("error", result->reason),
                    LOG_TEXT("words", result->words));
        turn_fail(turn, "%s", result->reason);
        return;
    }
    turn->resumes++;
    log_warning("an answer broke off: asking the model to go on", LOG_TEXT("connection", turn->connection),
                LOG_TEXT("turn", turn->id), LOG_TRACE(&turn->trace), LOG_INT("attempt", turn->attempt),
                LOG_TEXT("error", result->reason));
    ask_model(turn);
}

static void plan_round(struct turn *turn, const struct provider_outcome *outcome)
{
    const struct agent_settings *settings = turn->agent->settings;

    if (transcript_round(&turn->transcript) >= settings->max_tool_rounds)
        turn_fail(turn, "the model asked for tools more than %lld times", (long long)settings->max_tool_rounds);
    else if (outcome->call_count > (size_t)settings->max_round_calls)
        turn_fail(turn, "the model called %zu tools at once, more than %lld", outcome->call_count,
                  (long long)settings->max_round_calls);
    else
        tool_round_plan(&turn->transcript, turn->id, outcome->calls, outcome->call_count, turn->agent->toolbox,
                        turn_job(turn), (size_t)settings->max_step_bytes);
}

static void on_finished(struct turn *turn, const struct provider_outcome *outcome)
{
    take_usage(turn, &outcome->usage);
    if (turn->splicing) {
        const struct buf said = said_since_round(turn);
        take_spliced(turn, splice_end(&turn->splice, &said));
    }
    bool asked_again = turn->completion != NULL;
    if (asked_again || turn->end != PARLEY__TURN_STATE__TURN_STATE_UNKNOWN)
        return;
    if (outcome->call_count > 0)
        plan_round(turn, outcome);
    else if (outcome->withheld && said_since_round(turn).len == 0)
        turn_fail(turn, "the model provider withheld the answer");
    else
        turn->end = PARLEY__TURN_STATE__TURN_STATE_COMPLETED;
}

static void on_done(void *arg, const struct completion_result *result)
{
    struct turn *turn = arg;

    turn->completion = NULL;
    if (result->err != ERR_NONE)
        on_broken_off(turn, result);
    else
        on_finished(turn, result->outcome);
    turn_tick(turn);
}

/* What was stored, or NULL where that is nothing or can't be read: then the model answers without memory. */
static const Parley__Conversation *conversation_of(const struct turn *turn)
{
    Parley__Conversation *conversation = NULL;

    if (turn->conversation.len > 0 && wire_unpack(turn->agent->arena, &parley__conversation__descriptor,
                                                  turn->conversation.data, turn->conversation.len, &conversation))
        log_error("a conversation could not be read", LOG_TEXT("connection", turn->connection),
                  LOG_TEXT("turn", turn->id), LOG_TRACE(&turn->trace));
    return conversation;
}

static void ask_model(struct turn *turn)
{
    static const struct completion_handlers handlers = {.text = on_text, .done = on_done};
    struct agent *agent = turn->agent;
    struct prompt_draft draft;
    struct prompt_input input = {
        .job = turn_job(turn),
        .conversation = conversation_of(turn),
        .transcript = &turn->transcript,
        .model = turn->model,
        .continuation = agent->continuation,
        .budget_tokens = (size_t)agent->settings->context_tokens,
    };
    struct prompt_tool *tools = toolbox_offer(agent->toolbox, input.job, &input.tool_count);

    input.tools = tools;
    prompt_draft_init(&draft, &input);
    splice_deinit(&turn->splice);
    turn->splicing = draft.asks_to_go_on;
    metric_add(agent->metrics.provider_requests, 1);
    turn->completion =
        completion_start(agent->http, agent->loop, &agent->completion, &draft.prompt, &turn->trace, &handlers, turn);
    prompt_draft_deinit(&draft);
    free(tools);
}

void turn_enter_answering(struct turn *turn)
{
    ask_model(turn);
}

/* ---- Tools */

static void on_stepped(void *arg)
{
    struct turn *turn = arg;

    voice_say(&turn->voice);
    checkpoint_hurry(turn->checkpoint);
    turn_tick(turn);
}

void turn_enter_calling(struct turn *turn)
{
    struct agent *agent = turn->agent;
    const struct tool_round_options options = {
        .bus = agent->bus,
        .alarms = agent->alarms,
        .toolbox = agent->toolbox,
        .arena = agent->arena,
        .transcript = &turn->transcript,
        .trace = &turn->trace,
        .timeout_ms = agent->settings->tool_call_timeout_ms,
        .max_step_bytes = (size_t)agent->settings->max_step_bytes,
        .ok = agent->metrics.tools_ok,
        .failed = agent->metrics.tools_failed,
    };

    /* The record goes out before the calls, so that whoever takes over knows of them. */
    checkpoint_hurry(turn->checkpoint);
    turn->round = tool_round_start(&options, turn_job(turn), on_stepped, turn);
    voice_say(&turn->voice);
}
