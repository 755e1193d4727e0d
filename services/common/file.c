#include "file.h"

#include <errno.h>
#include <stdio.h>

int file_read(const char *path, size_t max_bytes, struct buf *out)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return ERR_SYSTEM;
    buf_reserve(out, max_bytes + 1);
    size_t len = fread(out->data + out->len, 1, max_bytes + 1, file);
    int err = ferror(file) ? ERR_SYSTEM : len > max_bytes ? ERR_TOO_LARGE : ERR_NONE;
    int why = errno;
    fclose(file);
    errno = why;
    if (!err) {
        out->len += len;
        out->data[out->len] = '\0';
    }
    return err;
}
