#include "answer_reader.h"

#include <string.h>

static void on_text(void *arg, const char *text, size_t len)
{
    struct answer_reader *reader = arg;
    reader->text_came = true;
    reader->text(reader->arg, text, len);
}

static const struct provider_sink sink = {on_text};

void answer_reader_init(struct answer_reader *reader, const struct completion_options *options,
                        answer_text_handler *text, void *arg, struct buf *reason)
{
    *reader = (struct answer_reader){.options = options, .text = text, .arg = arg, .reason = reason};
    sse_init(&reader->sse, options->max_event_bytes);
    reader->parser = options->provider->parser_new(&sink, reader, options->max_call_bytes);
}

void answer_reader_deinit(struct answer_reader *reader)
{
    sse_deinit(&reader->sse);
    buf_deinit(&reader->whole);
    reader->options->provider->parser_free(&reader->parser);
}

/* Some servers stream nothing and answer in one piece. No line of an event stream that means anything begins with a
 * brace, so this is told by the first byte, whatever the content type claims. */
static enum answer_form form_of(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!strchr(" \t\r\n", bytes[i]) || bytes[i] == '\0')
            return bytes[i] == '{' ? ANSWER_WHOLE : ANSWER_EVENTS;
    return ANSWER_UNKNOWN; /* and white space before an event stream or JSON is nothing */
}

static void parse(struct answer_reader *reader, const char *type, const char *data, size_t len)
{
    reader->err = reader->options->provider->parse(reader->parser, type, data, len, reader->reason);
}

static void on_event(void *arg, const char *type, const char *data, size_t len)
{
    struct answer_reader *reader = arg;
    if (reader->err)
        return;
    parse(reader, type, data, len);
    if (!reader->err)
        reader->event_came = true;
}

static void take_events(struct answer_reader *reader, const char *bytes, size_t len)
{
    int err = sse_feed(&reader->sse, bytes, len, on_event, reader);
    if (err && !reader->err) {
        reader->err = err;
        buf_printf(reader->reason, "an event has more than %zu bytes", reader->options->max_event_bytes);
    }
}

static void take_whole(struct answer_reader *reader, const char *bytes, size_t len)
{
    size_t limit = reader->options->max_event_bytes;
    if (len <= limit - reader->whole.len) {
        buf_append(&reader->whole, bytes, len);
        return;
    }
    reader->err = ERR_TOO_LARGE;
    buf_printf(reader->reason, "its answer has more than %zu bytes", limit);
}

int answer_reader_feed(struct answer_reader *reader, const char *bytes, size_t len)
{
    struct provider_outcome outcome;
    if (reader->err)
        return reader->err;
    if (reader->form == ANSWER_UNKNOWN)
        reader->form = form_of(bytes, len);
    if (reader->form == ANSWER_WHOLE)
        take_whole(reader, bytes, len);
    else if (reader->form == ANSWER_EVENTS)
        take_events(reader, bytes, len);
    answer_reader_finished(reader, &outcome);
    reader->progress = outcome.progress;
    return reader->err;
}

int answer_reader_end(struct answer_reader *reader)
{
    if (!reader->err && reader->form == ANSWER_WHOLE)
        parse(reader, "message", reader->whole.data, reader->whole.len);
    return reader->err;
}

bool answer_reader_finished(const struct answer_reader *reader, struct provider_outcome *outcome)
{
    reader->options->provider->outcome(reader->parser, outcome);
    return outcome->finished;
}
