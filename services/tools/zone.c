#include "zone.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ZONE_DIRECTORY      "/usr/share/zoneinfo/"
#define ZONE_FILE_MAX_BYTES 65536
#define NAME_MAX_BYTES      64
#define RULE_MAX_BYTES      128
#define HEADER_BYTES        44
#define TYPE_BYTES          6

/* The counts of a TZif header (RFC 8536, section 3.1). */
struct header {
    uint64_t isut, isstd, leap, time, type, abbreviation;
};

/* What a 64-bit data block lists; all of it lies in the file's bytes. */
struct block {
    const uint8_t *times; /* 8 bytes each, rising */
    const uint8_t *types_after;
    const uint8_t *types;
    uint64_t time_count, type_count;
};

static uint32_t read_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static int64_t read_i64(const uint8_t *bytes)
{
    return (int64_t)((uint64_t)read_u32(bytes) << 32 | read_u32(bytes + 4));
}

static int read_header(const uint8_t *bytes, uint64_t len, struct header *header)
{
    if (len < HEADER_BYTES || memcmp(bytes, "TZif", 4) != 0 || bytes[4] < '2')
        return ERR_INVALID;
    header->isut = read_u32(bytes + 20);
    header->isstd = read_u32(bytes + 24);
    header->leap = read_u32(bytes + 28);
    header->time = read_u32(bytes + 32);
    header->type = read_u32(bytes + 36);
    header->abbreviation = read_u32(bytes + 40);
    return ERR_NONE;
}

/* Of the data block after a header, where a time takes `time_bytes`. The counts are below 2^32: no sum overflows. */
static uint64_t block_bytes(const struct header *h, uint64_t time_bytes)
{
    return h->time * (time_bytes + 1) + h->type * TYPE_BYTES + h->abbreviation + h->leap * (time_bytes + 4) + h->isstd +
           h->isut;
}

static int offset_of_type(const struct block *block, uint64_t type, int32_t *offset)
{
    if (type >= block->type_count)
        return ERR_INVALID;
    *offset = (int32_t)read_u32(block->types + type * TYPE_BYTES);
    return ERR_NONE;
}

/* Before the first change the first type holds. */
static int offset_in_block(const struct block *block, int64_t when, int32_t *offset)
{
    uint64_t low = 0, high = block->time_count; /* how many changes are not after `when` */
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (read_i64(block->times + middle * 8) <= when)
            low = middle + 1;
        else
            high = middle;
    }
    return offset_of_type(block, low == 0 ? 0 : block->types_after[low - 1], offset);
}

/* The rule stands between two newlines after the data; empty where there is none. */
static void read_footer(const uint8_t *bytes, uint64_t len, char rule[RULE_MAX_BYTES])
{
    rule[0] = '\0';
    if (len < 2 || bytes[0] != '\n')
        return;
    const uint8_t *end = memchr(bytes + 1, '\n', len - 1);
    size_t rule_len = end ? (size_t)(end - bytes - 1) : 0;
    if (rule_len >= RULE_MAX_BYTES)
        return;
    memcpy(rule, bytes + 1, rule_len);
    rule[rule_len] = '\0';
}

int zone_offset_in(const void *file, uint64_t len, int64_t unix_seconds, int32_t *offset)
{
    const uint8_t *bytes = file;
    struct header header;
    if (read_header(bytes, len, &header))
        return ERR_INVALID;
    uint64_t skipped = HEADER_BYTES + block_bytes(&header, 4);
    if (skipped > len || read_header(bytes + skipped, len - skipped, &header) || header.leap > 0)
        return ERR_INVALID;
    uint64_t start = skipped + HEADER_BYTES, size = block_bytes(&header, 8);
    if (size > len - start)
        return ERR_INVALID;

    struct block block = {.times = bytes + start, .time_count = header.time, .type_count = header.type};
    block.types_after = block.times + header.time * 8;
    block.types = block.types_after + header.time;
    char rule[RULE_MAX_BYTES];
    read_footer(bytes + start + size, len - start - size, rule);
    bool after_last = header.time == 0 || read_i64(block.times + (header.time - 1) * 8) <= unix_seconds;
    if (after_last && rule[0])
        return zone_offset_by_rule(rule, unix_seconds, offset);
    return offset_in_block(&block, unix_seconds, offset);
}

/* Names such as America/Argentina/Buenos_Aires, Etc/GMT+5: without dots nothing leads out of the directory. */
static bool is_zone_name(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool letter = (name[i] >= 'A' && name[i] <= 'Z') || (name[i] >= 'a' && name[i] <= 'z');
        bool inner = (name[i] >= '0' && name[i] <= '9') || strchr("_-+/", name[i]);
        if (!letter && (i == 0 || !inner))
            return false;
    }
    return true;
}

static ssize_t read_file(const char *path, void *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t len = read(fd, out, size);
    close(fd);
    return len;
}

int zone_offset(const char *name, int64_t unix_seconds, int32_t *offset)
{
    if (strcmp(name, "UTC") == 0) {
        *offset = 0;
        return ERR_NONE;
    }
    if (!is_zone_name(name))
        return ERR_NOT_FOUND;
    char path[sizeof ZONE_DIRECTORY + NAME_MAX_BYTES];
    snprintf(path, sizeof path, ZONE_DIRECTORY "%s", name);
    uint8_t bytes[ZONE_FILE_MAX_BYTES];
    ssize_t len = read_file(path, bytes, sizeof bytes);
    if (len < 0 || zone_offset_in(bytes, (uint64_t)len, unix_seconds, offset))
        return ERR_NOT_FOUND;
    return ERR_NONE;
}
