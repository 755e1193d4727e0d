#include "wire.h"

#include "mem.h"
#include "utf8.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES 16384 /* at the least */

struct chunk {
    struct chunk *next;
    size_t size;
    alignas(max_align_t) char bytes[];
};

struct wire_arena {
    ProtobufCAllocator allocator;
    size_t limit;
    size_t allocated; /* of chunks, all together */
    struct chunk *chunks;
    struct chunk *current; /* those after it are empty */
    size_t used;           /* of the current one */
    bool refused;          /* a piece, for want of room */
};

/* Stands before every piece: only so can be told whether a string holds U+0000. */
struct piece {
    size_t size;
    alignas(max_align_t) char bytes[];
};

/* ---- The arena */

/* A chunk after the current one that has room for `size` bytes, or a new one; NULL: that would be too much. */
static struct chunk *next_chunk(struct wire_arena *arena, size_t size)
{
    struct chunk **at = arena->current ? &arena->current->next : &arena->chunks;
    if (*at && (*at)->size >= size)
        return *at;
    size_t chunk_size = size < CHUNK_BYTES ? CHUNK_BYTES : size;
    if (chunk_size > arena->limit - arena->allocated)
        chunk_size = size;
    if (chunk_size > arena->limit - arena->allocated) {
        arena->refused = true;
        return NULL;
    }
    struct chunk *chunk = mem_alloc(sizeof *chunk + chunk_size);
    chunk->size = chunk_size;
    chunk->next = *at;
    *at = chunk;
    arena->allocated += chunk_size;
    return chunk;
}

static void *allocate(void *data, size_t size)
{
    struct wire_arena *arena = data;
    size_t align = alignof(max_align_t);
    if (size > arena->limit)
        return NULL;
    size_t whole = (sizeof(struct piece) + size + align - 1) / align * align;
    if (!arena->current || arena->current->size - arena->used < whole) {
        struct chunk *chunk = next_chunk(arena, whole);
        if (!chunk)
            return NULL;
        arena->current = chunk;
        arena->used = 0;
    }
    struct piece *piece = (struct piece *)(void *)(arena->current->bytes + arena->used);
    arena->used += whole;
    piece->size = size;
    return piece->bytes;
}

/* All of it ends together. */
static void leave(void *data, void *piece)
{
    (void)data;
    (void)piece;
}

static void free_chunks(struct wire_arena *arena)
{
    while (arena->chunks) {
        struct chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        free(chunk);
    }
    arena->current = NULL;
    arena->allocated = 0;
}

struct wire_arena *wire_arena_new(size_t limit_bytes)
{
    struct wire_arena *arena = mem_alloc(sizeof *arena);
    arena->allocator = (ProtobufCAllocator){.alloc = allocate, .free = leave, .allocator_data = arena};
    arena->limit = limit_bytes;
    return arena;
}

void wire_arena_free(struct wire_arena **arena)
{
    if (!*arena)
        return;
    free_chunks(*arena);
    free(*arena);
    *arena = NULL;
}

/* ---- Strings */

static bool string_valid(const char *text, const ProtobufCFieldDescriptor *field)
{
    if (!text || text == protobuf_c_empty_string || text == field->default_value)
        return true; /* not sent */
    const struct piece *piece = (const struct piece *)(const void *)(text - offsetof(struct piece, bytes));
    return utf8_is_name(text, piece->size - 1);
}

static bool strings_valid(const ProtobufCMessage *message);

static bool element_valid(const void *element, const ProtobufCFieldDescriptor *field)
{
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return string_valid(element, field);
    return !element || strings_valid(element);
}

static bool field_valid(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE)
        return true;
    const char *base = (const char *)message;
    const void *member = base + field->offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count;
        void **elements;
        memcpy(&count, base + field->quantifier_offset, sizeof count);
        memcpy(&elements, member, sizeof elements);
        for (size_t i = 0; i < count; i++) {
            if (!element_valid(elements[i], field))
                return false;
        }
        return true;
    }
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        uint32_t chosen;
        memcpy(&chosen, base + field->quantifier_offset, sizeof chosen);
        if (chosen != field->id)
            return true;
    }
    void *element;
    memcpy(&element, member, sizeof element);
    return element_valid(element, field);
}

/* Our messages are not recursive types, so this is as deep as they are. */
static bool strings_valid(const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        if (!field_valid(message, &message->descriptor->fields[i]))
            return false;
    }
    return true;
}

/* ---- */

void wire_pack(const ProtobufCMessage *message, struct buf *out)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    buf_reserve(out, size);
    out->len += protobuf_c_message_pack(message, (uint8_t *)out->data + out->len);
    out->data[out->len] = '\0';
}

static ProtobufCMessage *unpack(struct wire_arena *arena, const ProtobufCMessageDescriptor *descriptor,
                                const void *data, size_t len)
{
    arena->current = NULL;
    arena->used = 0;
    arena->refused = false;
    return protobuf_c_message_unpack(descriptor, &arena->allocator, len, data);
}

int wire_unpack(struct wire_arena *arena, const ProtobufCMessageDescriptor *descriptor, const void *data, size_t len,
                void *out_message)
{
    bool fresh = !arena->chunks;
    ProtobufCMessage *message = unpack(arena, descriptor, data, len);
    if (!message && arena->refused && !fresh) {
        /* The chunks were cut for other messages: it is to have the whole limit. */
        free_chunks(arena);
        message = unpack(arena, descriptor, data, len);
    }
    if (!message || !strings_valid(message))
        return ERR_INVALID;
    memcpy(out_message, &message, sizeof message);
    return ERR_NONE;
}
