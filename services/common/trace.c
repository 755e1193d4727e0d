#include "trace.h"

#include "id.h"

#include <stdio.h>
#include <string.h>

#define HEX           "0123456789abcdef"
#define ID_DIGITS     (TRACE_ID_SIZE - 1)
#define PARENT_DIGITS 16

/* Where the parts begin. */
enum { VERSION = 0, ID = 3, PARENT = ID + ID_DIGITS + 1, FLAGS = PARENT + PARENT_DIGITS + 1 };

static bool is_hex(const char *text, size_t digits)
{
    return strspn(text, HEX) >= digits;
}

static bool is_zero(const char *text, size_t digits)
{
    return strspn(text, "0") >= digits;
}

static bool has_form(const char *text)
{
    return is_hex(text + VERSION, 2) && text[ID - 1] == '-' && is_hex(text + ID, ID_DIGITS) &&
           text[PARENT - 1] == '-' && is_hex(text + PARENT, PARENT_DIGITS) && text[FLAGS - 1] == '-' &&
           is_hex(text + FLAGS, 2);
}

bool trace_parse(struct trace *out, const char *text)
{
    if (!text || strlen(text) < TRACE_TEXT_SIZE - 1 || !has_form(text))
        return false;
    char after = text[TRACE_TEXT_SIZE - 1];
    bool first_version = strncmp(text, "00", 2) == 0;
    if (strncmp(text, "ff", 2) == 0 || (after && (first_version || after != '-')))
        return false;
    if (is_zero(text + ID, ID_DIGITS) || is_zero(text + PARENT, PARENT_DIGITS))
        return false;
    memcpy(out->id, text + ID, ID_DIGITS);
    out->id[ID_DIGITS] = '\0';
    out->sampled = (strchr(HEX, text[FLAGS + 1]) - HEX) & 1;
    return true;
}

void trace_take(struct trace *out, const char *text)
{
    if (trace_parse(out, text))
        return;
    id_hex(out->id, ID_DIGITS);
    out->sampled = false; /* nobody has asked for it to be recorded */
}

bool trace_is_set(const struct trace *trace)
{
    return trace->id[0] != '\0';
}

void trace_next(const struct trace *trace, char out[TRACE_TEXT_SIZE])
{
    char parent[PARENT_DIGITS + 1];
    id_hex(parent, PARENT_DIGITS);
    snprintf(out, TRACE_TEXT_SIZE, "00-%s-%s-%02d", trace->id, parent, trace->sampled);
}

const char *const *trace_headers(const struct trace *trace, struct trace_headers *memory)
{
    if (!trace || !trace_is_set(trace))
        return NULL;
    trace_next(trace, memory->text);
    memory->pairs[0] = TRACE_HEADER;
    memory->pairs[1] = memory->text;
    memory->pairs[2] = NULL;
    return memory->pairs;
}
