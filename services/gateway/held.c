#include "held.h"

#include "mem.h"

#include <stdlib.h>

/* What a held message takes besides its bytes. */
#define COST 64

struct message {
    struct message *next;
    struct buf bytes;
    bool binary;
};

struct held {
    struct message *first, **end;
    size_t bytes; /* of the service's budget */
};

void held_begin(struct connection *connection)
{
    connection->held = mem_alloc(sizeof *connection->held);
    connection->held->end = &connection->held->first;
}

void held_add(struct connection *connection, const char *bytes, size_t len, bool binary)
{
    struct held *held = connection->held;
    struct gateway *gateway = connection->gateway;
    size_t sum = held->bytes + len + COST;
    if (sum > (size_t)gateway->settings->message_size_limit + COST ||
        !budget_hold(&gateway->service->budget, &held->bytes, sum)) {
        connection_close(connection, CLOSE_POLICY, "too much was sent before it could be read");
        return;
    }
    struct message *message = mem_alloc(sizeof *message);
    buf_append(&message->bytes, bytes, len);
    message->binary = binary;
    *held->end = message;
    held->end = &message->next;
}

/* Ends the holding; what was held is the caller's. */
static struct message *take(struct connection *connection)
{
    struct held *held = connection->held;
    if (!held)
        return NULL;
    struct message *first = held->first;
    connection->held = NULL;
    budget_release(&connection->gateway->service->budget, &held->bytes);
    free(held);
    return first;
}

static void free_message(struct message **first)
{
    struct message *message = *first;
    *first = message->next;
    buf_deinit(&message->bytes);
    free(message);
}

void held_end(struct connection *connection)
{
    struct message *first = take(connection);
    while (first) {
        connection_receive(connection, first->bytes.data ? first->bytes.data : "", first->bytes.len, first->binary);
        free_message(&first);
    }
}

void held_drop(struct connection *connection)
{
    struct message *first = take(connection);
    while (first)
        free_message(&first);
}
