#include "mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *checked(void *memory)
{
    static const char text[] = "out of memory\n";
    if (!memory) {
        /* Not through the log, which allocates. */
        ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
        (void)ignored;
        abort();
    }
    return memory;
}

void *mem_alloc(size_t size)
{
    return checked(calloc(1, size ? size : 1));
}

void *mem_realloc(void *memory, size_t size)
{
    return checked(realloc(memory, size ? size : 1));
}

char *mem_strdup(const char *text)
{
    return checked(strdup(text));
}

char *mem_strndup(const char *text, size_t len)
{
    len = strnlen(text, len);
    char *copy = checked(malloc(len + 1));
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void *mem_dup(const void *bytes, size_t len)
{
    if (len == 0)
        return NULL;
    return memcpy(checked(malloc(len)), bytes, len);
}
