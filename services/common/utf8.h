/* UTF-8 (RFC 3629). */
#ifndef PARLEY_UTF8_H
#define PARLEY_UTF8_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes the code point that `text` begins with. Returns its length in bytes; 0 where there is none (no text, cut,
 * overlong, a surrogate, above U+10FFFF), with `*out` untouched. */
size_t utf8_next(const char *text, size_t len, uint32_t *out);

/* The length of the longest prefix of at most `max` bytes that ends between code points. The text is valid UTF-8, but
 * its end may cut a code point (then the cut one is left out). 0 only if the first code point does not fit. */
size_t utf8_cut(const char *text, size_t len, size_t max);

bool utf8_valid(const char *text, size_t len);
/* Valid, and without control characters: neither C0 nor DEL nor C1. The rule for all names that go from one service to
 * another, so whoever takes one from outside asks this (wire.h). */
bool utf8_is_name(const char *text, size_t len);
/* True where nothing but white space (Unicode's White_Space property) stands in it, or nothing at all. */
bool utf8_blank(const char *text, size_t len);

/* Appends the text with U+FFFD in place of each byte that is not part of a code point. */
void utf8_append_repaired(struct buf *out, const char *text, size_t len);

#endif
