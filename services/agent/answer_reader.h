/* Reads a model's answer out of the bytes of a response, cut anywhere: an event stream, or one piece of JSON. Knows no
 * connection and reads no clock; the provider's parser says what the events mean. */
#ifndef PARLEY_ANSWER_READER_H
#define PARLEY_ANSWER_READER_H

#include "completion.h"
#include "sse.h"

enum answer_form { ANSWER_UNKNOWN, ANSWER_EVENTS, ANSWER_WHOLE };

typedef void answer_text_handler(void *arg, const char *text, size_t len);

struct answer_reader {
    const struct completion_options *options;
    answer_text_handler *text;
    void *arg;
    struct buf *reason;
    enum answer_form form;
    struct sse sse;
    struct buf whole; /* an answer in one piece, as far as it came */
    struct provider_parser *parser;
    uint64_t progress; /* as the parser counts it; 0: nothing came that was not empty */
    bool event_came;   /* of a stream: it has begun */
    bool text_came;
    int err; /* of an answer that can't be read on */
};

/* Options and reason are lent until the end. */
void answer_reader_init(struct answer_reader *reader, const struct completion_options *options,
                        answer_text_handler *text, void *arg, struct buf *reason);
void answer_reader_deinit(struct answer_reader *reader);

/* ERR_TOO_LARGE: an event, or an answer in one piece, has more than max_event_bytes. Otherwise as the provider's parser
 * says. Then `reason` gets what can be said about it (it may be nothing), and nothing more is read. */
int answer_reader_feed(struct answer_reader *reader, const char *bytes, size_t len) MUST_CHECK;
/* The response is over, as its sender meant it: only now is an answer in one piece parsed. Fails as its feeding does.
 */
int answer_reader_end(struct answer_reader *reader) MUST_CHECK;

/* Whether the model has finished, and what it came to so far. */
bool answer_reader_finished(const struct answer_reader *reader, struct provider_outcome *outcome);

#endif
