#include "peers.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>

void peers_deinit(struct peers *peers)
{
    free(peers->list);
    *peers = (struct peers){0};
}

static struct peer *find_peer(const struct peers *peers, const char *id)
{
    for (size_t i = 0; i < peers->count; i++)
        if (strcmp(peers->list[i].id, id) == 0)
            return &peers->list[i];
    return NULL;
}

static struct peer *add_peer(struct peers *peers, const char *id)
{
    if (strlen(id) != ID_SHORT_SIZE - 1 || !id_is_token(id, ID_SHORT_SIZE - 1) || peers->count == PEERS_MAX)
        return NULL;
    if (peers->count == peers->capacity) {
        peers->capacity = peers->capacity ? peers->capacity * 2 : 4;
        peers->list = mem_realloc(peers->list, peers->capacity * sizeof *peers->list);
    }
    struct peer *peer = &peers->list[peers->count++];
    *peer = (struct peer){0};
    strcpy(peer->id, id);
    return peer;
}

void peers_heard(struct peers *peers, const char *id, uint64_t number)
{
    struct peer *peer = find_peer(peers, id);
    if (!peer)
        peer = add_peer(peers, id);
    if (peer && peer->answered < number)
        peer->answered = number;
}

bool peers_answered(const struct peers *peers, uint64_t number)
{
    for (size_t i = 0; i < peers->count; i++)
        if (peers->list[i].answered < number)
            return false;
    return true;
}

void peers_drop_silent(struct peers *peers, uint64_t number)
{
    size_t kept = 0;
    for (size_t i = 0; i < peers->count; i++)
        if (peers->list[i].answered >= number)
            peers->list[kept++] = peers->list[i];
    peers->count = kept;
}
