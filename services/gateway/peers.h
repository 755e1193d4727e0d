/* The other gateways, as far as one has heard of them, and up to which question each has answered. They answer in the
 * order in which they are asked. Pure. */
#ifndef PARLEY_PEERS_H
#define PARLEY_PEERS_H

#include "id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEERS_MAX 1024

struct peer {
    char id[ID_SHORT_SIZE];
    uint64_t answered; /* the last question; from 1 */
};

struct peers {
    struct peer *list;
    size_t count, capacity;
};

void peers_deinit(struct peers *peers);
/* It has answered this question; or it has been heard of otherwise, so that it will be asked only after it. What is no
 * gateway's id is ignored. */
void peers_heard(struct peers *peers, const char *id, uint64_t number);
/* Whether all have. */
bool peers_answered(const struct peers *peers, uint64_t number);
/* Forgets those that have not. */
void peers_drop_silent(struct peers *peers, uint64_t number);

#endif
