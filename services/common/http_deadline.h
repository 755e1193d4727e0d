/* The deadlines of one HTTP request: for the first byte of its answer's body, between two reads of it, and for all of
 * it. A read costs one look at the loop's clock: the timer is not moved, but looks again when it fires. */
#ifndef PARLEY_HTTP_DEADLINE_H
#define PARLEY_HTTP_DEADLINE_H

#include <stdint.h>
#include <uv.h>

struct http_deadline;

/* Called at most once, from the loop; `text` says for people what took too long. May call http_deadline_free(). */
typedef void http_deadline_handler(void *arg, const char *text);

/* All counted from now; 0: none. */
struct http_deadline *http_deadline_new(uv_loop_t *loop, int64_t first_byte_ms, int64_t stall_ms, int64_t total_ms,
                                        http_deadline_handler *handler, void *arg);
void http_deadline_note_read(struct http_deadline *deadline);
/* NULL inside is allowed. Its memory goes when the loop has run once more. */
void http_deadline_free(struct http_deadline **deadline);

#endif
