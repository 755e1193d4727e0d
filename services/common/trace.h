/* What belongs together across services: an id that a question, or a tool call, has from the client to the last log
 * line, in the form of W3C Trace Context, level 1 (the header `traceparent`). Pure, but for the randomness of new ids.
 */
#ifndef PARLEY_TRACE_H
#define PARLEY_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#define TRACE_HEADER    "traceparent"
#define TRACE_ID_SIZE   33 /* 32 hexadecimal digits in lower case, and a zero byte */
#define TRACE_TEXT_SIZE 56 /* 00-<32 digits>-<16 digits>-<2 digits>, and a zero byte */

struct trace { /* zeroed: none */
    char id[TRACE_ID_SIZE];
    bool sampled;
};

/* A received header's value; NULL is allowed. False: it is not valid, and `out` is untouched. Of versions that are not
 * known yet the part is taken that this one has, too (section 4.3 there). */
bool trace_parse(struct trace *out, const char *text);
/* What was received, or else one made here. */
void trace_take(struct trace *out, const char *text);
bool trace_is_set(const struct trace *trace);

/* The header's value for the next hop, with a parent id of its own. */
void trace_next(const struct trace *trace, char out[TRACE_TEXT_SIZE]);

/* The same as a message's only header. */
struct trace_headers {
    char text[TRACE_TEXT_SIZE];
    const char *pairs[3];
};
/* Lent with `memory`. NULL where the trace is NULL or none. */
const char *const *trace_headers(const struct trace *trace, struct trace_headers *memory);

/* A field of every log line that concerns it; left out where there is none. */
#define LOG_TRACE(t) LOG_TEXT("trace", (t)->id[0] ? (t)->id : NULL)

#endif
