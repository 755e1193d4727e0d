/* A whole file at once. */
#ifndef PARLEY_FILE_H
#define PARLEY_FILE_H

#include "buf.h"
#include "err.h"

/* Appends what the file holds. ERR_TOO_LARGE: more than `max_bytes`; ERR_SYSTEM: it can't be read, and errno says why.
 */
int file_read(const char *path, size_t max_bytes, struct buf *out) MUST_CHECK;

#endif
