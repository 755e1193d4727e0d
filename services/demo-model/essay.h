/* Answers at length, in Markdown: headings, paragraphs, a list, a block of code. Pure. */
#ifndef PARLEY_ESSAY_H
#define PARLEY_ESSAY_H

#include "buf.h"

#include <stdbool.h>
#include <stdint.h>

/* Appends about `words` words (in Chinese: characters) on the topic, lent. */
void essay_append(const char *topic, bool chinese, int64_t words, struct buf *out);

#endif
