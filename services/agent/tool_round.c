#include "tool_round.h"

#include "clock.h"
#include "id.h"
#include "json.h"
#include "mem.h"
#include "subjects.h"
#include "tool.pb-c.h"
#include "utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL_ID_SIZE (ID_TOKEN_MAX + 32)
#define AGAIN_MS     250

struct call {
    struct tool_round *round;
    size_t index;       /* of its step */
    struct buf message; /* ToolCall, packed */
    struct bus_request *request;
    struct alarm again; /* set where the broker was lost: it is called once more */
    bool repeated;
};

struct tool_round {
    struct tool_round_options options;
    tool_round_handler *stepped;
    void *arg;
    int64_t give_up_ms; /* monotonic */
    size_t count;
    struct call calls[];
};

/* ---- Planning */

/* A name fit for events, logs and prompts, whatever the model wrote. */
static void tidy_name(const char *name, char out[ID_TOKEN_MAX + 1])
{
    size_t len = 0;

    for (; name[len] != '\0' && len < ID_TOKEN_MAX; len++)
        out[len] = id_is_token(name + len, 1) ? name[len] : '_';
    if (len == 0)
        out[len++] = '_';
    out[len] = '\0';
}

static bool is_object(const struct buf *text)
{
    json_t *value;

    if (json_parse(text->data != NULL ? text->data : "", text->len, NULL, 0, &value) != ERR_NONE)
        return false;
    bool object = json_is_object(value);
    json_decref(value);
    return object;
}

static const char *objection(const struct transcript *transcript, const struct tool_call *call,
                             const struct toolbox *toolbox, const Parley__Job *job, size_t max_step_bytes)
{
    if (!id_is_token_text(call->name))
        return "this is no name of a tool";
    const char *reason = toolbox_objection(toolbox, job, call->name);
    if (reason != NULL)
        return reason;
    if (call->arguments.len > 0 && !is_object(&call->arguments))
        return "the arguments are not a JSON object";
    if (transcript->step_bytes + call->arguments.len > max_step_bytes)
        return "the tool calls of this answer have become too large";
    return NULL;
}

void tool_round_plan(struct transcript *transcript, const char *turn, const struct tool_call *calls, size_t count,
                     const struct toolbox *toolbox, const Parley__Job *job, size_t max_step_bytes)
{
    uint32_t round = transcript_round(transcript) + 1;

    for (size_t i = 0; i < count; i++) {
        const char *reason = objection(transcript, &calls[i], toolbox, job, max_step_bytes);
        bool bare = reason != NULL || calls[i].arguments.len == 0;
        const char *arguments = bare ? "{}" : calls[i].arguments.data;
        char id[CALL_ID_SIZE];
        char name[ID_TOKEN_MAX + 1];
        snprintf(id, sizeof id, "%.*s-%u-%zu", ID_TOKEN_MAX, turn, round, i);
        tidy_name(calls[i].name, name);
        transcript_add(transcript, round, id, name, arguments, bare ? 2 : calls[i].arguments.len);
        if (reason != NULL)
            transcript_finish(transcript, transcript->step_count - 1, false, reason, strlen(reason));
    }
}

/* ---- Calling */

static void finish(struct tool_round *round, size_t index, bool ok, const void *result, size_t len)
{
    metric_add(ok ? round->options.ok : round->options.failed, 1);
    transcript_finish(round->options.transcript, index, ok, result, len);
}

static void finish_failed(struct tool_round *round, size_t index, const char *reason)
{
    finish(round, index, false, reason, strlen(reason));
}

static const char *text_of_failure(int err)
{
    switch (err) {
    case ERR_NO_RESPONDERS:
        return "the tools service is not there";
    case ERR_TIMEOUT:
        return "the tool did not answer in time";
    case ERR_DISCONNECTED:
        return "the message broker is unreachable";
    case ERR_TOO_LARGE:
        return "the call is too large";
    default:
        return err_text(err);
    }
}

static bool is_json(const ProtobufCBinaryData *text)
{
    json_t *value;

    if (json_parse((const char *)text->data, text->len, NULL, 0, &value) != ERR_NONE)
        return false;
    json_decref(value);
    return true;
}

static void take_result(struct tool_round *round, size_t index, const Parley__ToolResult *result)
{
    const ProtobufCBinaryData *text = &result->result;
    bool ok = result->status == PARLEY__TOOL_STATUS__TOOL_STATUS_OK;

    if (result->status == PARLEY__TOOL_STATUS__TOOL_STATUS_NOT_FOUND)
        toolbox_refresh(round->options.toolbox);
    if (round->options.transcript->step_bytes + text->len > round->options.max_step_bytes)
        finish_failed(round, index, "the result is too large");
    else if (ok && !is_json(text))
        finish_failed(round, index, "the tool answered with something that is not JSON");
    else if (!ok && (text->len == 0 || !utf8_valid((const char *)text->data, text->len)))
        finish_failed(round, index, "the tool failed without saying why");
    else
        finish(round, index, ok, text->data, text->len);
}

static void cancel_call(struct tool_round *round, size_t index)
{
    Parley__ToolCancel cancel = PARLEY__TOOL_CANCEL__INIT;
    struct buf payload = {0};

    cancel.call = round->options.transcript->steps[index].call;
    wire_pack(&cancel.base, &payload);
    /* Not sent: the call ends at its own time limit. */
    int unsent = bus_publish(round->options.bus, SUBJECT_TOOL_CANCEL, NULL, NULL, &payload);
    (void)unsent;
    buf_deinit(&payload);
}

static void call_again(void *arg);

/* Whether it was put off for a little. A tools process knows the call by its id, should it have it; and once the broker
 * is back, it may take the tools service a moment longer than us to be there. */
static bool put_off(struct call *call, int err)
{
    const struct tool_round *round = call->round;

    call->repeated = call->repeated || err == ERR_DISCONNECTED;
    if (!call->repeated || (err != ERR_DISCONNECTED && err != ERR_NO_RESPONDERS) ||
        clock_monotonic_ms() + AGAIN_MS >= round->give_up_ms)
        return false;
    alarm_set(round->options.alarms, &call->again, AGAIN_MS, call_again, call);
    return true;
}

static void on_result(void *arg, int err, const struct bus_message *reply)
{
    struct call *call = arg;
    struct tool_round *round = call->round;
    const char *id = round->options.transcript->steps[call->index].call;
    Parley__ToolResult *result;

    if (put_off(call, err))
        return;
    if (err != ERR_NONE) {
        if (err == ERR_TIMEOUT)
            cancel_call(round, call->index);
        finish_failed(round, call->index, text_of_failure(err));
    } else if (wire_unpack(round->options.arena, &parley__tool_result__descriptor, reply->data, reply->len, &result) !=
                   ERR_NONE ||
               strcmp(result->call, id) != 0) {
        finish_failed(round, call->index, "the tools service answered with something else");
    } else {
        take_result(round, call->index, result);
    }
    round->stepped(round->arg);
}

static int submit(struct call *call)
{
    int64_t left_ms = call->round->give_up_ms - clock_monotonic_ms();
    const struct tool_round_options *options = &call->round->options;
    struct buf payload = {0};
    char subject[SUBJECT_SIZE];
    struct trace_headers headers;

    buf_append(&payload, call->message.data, call->message.len);
    snprintf(subject, sizeof subject, SUBJECT_TOOL, options->transcript->steps[call->index].name);
    int err = bus_request(options->bus, subject, trace_headers(options->trace, &headers), &payload,
                          left_ms > 1 ? left_ms : 1, on_result, call, &call->request);
    buf_deinit(&payload);
    return err;
}

static void call_again(void *arg)
{
    struct call *call = arg;
    struct tool_round *round = call->round;
    int err = submit(call);

    if (err == ERR_NONE || put_off(call, err))
        return;
    finish_failed(round, call->index, text_of_failure(err));
    round->stepped(round->arg);
}

static void call_start(struct tool_round *round, struct call *call, const Parley__Job *job)
{
    const struct step *step = &round->options.transcript->steps[call->index];
    Parley__ToolCall message = PARLEY__TOOL_CALL__INIT;

    message.call = step->call;
    message.turn = job->turn;
    message.name = step->name;
    message.arguments = (ProtobufCBinaryData){step->arguments.len, (uint8_t *)step->arguments.data};
    message.user = job->user;
    message.credential = job->credential;
    message.deadline_ms = clock_wall_ms() + round->options.timeout_ms;
    wire_pack(&message.base, &call->message);
    int err = submit(call);
    if (err != ERR_NONE && !put_off(call, err))
        finish_failed(round, call->index, text_of_failure(err));
}

struct tool_round *tool_round_start(const struct tool_round_options *options, const Parley__Job *job,
                                    tool_round_handler *stepped, void *arg)
{
    const struct transcript *transcript = options->transcript;
    size_t begin = transcript_round_begin(transcript);
    struct tool_round *round = mem_alloc(sizeof *round + (transcript->step_count - begin) * sizeof *round->calls);

    round->options = *options;
    round->stepped = stepped;
    round->arg = arg;
    round->give_up_ms = clock_monotonic_ms() + options->timeout_ms;
    for (size_t i = begin; i < transcript->step_count; i++) {
        if (transcript->steps[i].finished)
            continue;
        struct call *call = &round->calls[round->count++];
        *call = (struct call){.round = round, .index = i};
        call_start(round, call, job);
    }
    return round;
}

void tool_round_end(struct tool_round **round, bool abandon)
{
    if (*round == NULL)
        return;
    for (size_t i = 0; i < (*round)->count; i++) {
        struct call *call = &(*round)->calls[i];
        bool pending = call->request != NULL || call->again.set;
        bus_request_cancel(&call->request);
        alarm_clear((*round)->options.alarms, &call->again);
        if (abandon && pending)
            cancel_call(*round, call->index);
        buf_deinit(&call->message);
    }
    free(*round);
    *round = NULL;
}
