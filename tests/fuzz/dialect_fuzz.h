/* Fuzzing of dialects: whatever a client says, a dialect stays within memory, sends frames that are JSON, and asks the
 * gateway only for what holds its contract in dialect.h. And whatever an answer holds, so do its frames. */
#ifndef PARLEY_DIALECT_FUZZ_H
#define PARLEY_DIALECT_FUZZ_H

#include "dialect.h"

/* One input: a byte of choices (bit 0: extended, 1: a binary frame, 2: the query argument `value`), then a message. It
 * is said by a client at `path`, and then stands for all texts of what becomes of it. */
void dialect_fuzz(const struct dialect *dialect, const char *path, const char *value, const uint8_t *data, size_t size);

/* libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
