/* One change of a conversation: read, make it anew, compare and set; and all of it again where somebody else's write
 * came between, after a random pause that grows with the number of tries. Changes of one conversation by one router
 * wait for each other, so that only routers compete.
 *
 * Where the store does not say whether it has written, it is read again: so `make` must find out by itself what it has
 * done already, and a change is made once. */
#ifndef PARLEY_CHANGE_H
#define PARLEY_CHANGE_H

#include "buf.h"
#include "err.h"
#include "id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

struct router;

enum change_verdict {
    CHANGE_WRITE, /* what was made */
    CHANGE_NONE,  /* it is as it should be */
    CHANGE_GIVE_UP
};

struct change_handlers {
    /* Makes `out` of what is stored (NULL and 0: nothing yet), any number of times. */
    enum change_verdict (*make)(void *arg, const void *stored, size_t len, struct buf *out);
    /* The last, and once, never from within change_start(): ERR_NONE, also where nothing had to be changed;
     * ERR_CANCELLED where `make` gave up; ERR_CONFLICT when others had been quicker all the time; or the store's. The
     * change may be started again, or freed with what it is part of. */
    void (*done)(void *arg, int err);
    /* Whether it goes on trying where the store can't be reached, too: for 20 s, while others of its conversation wait.
     */
    bool persistent;
};

/* In the caller's memory, zeroed at first. Everything in it is private. */
struct change {
    TAILQ_ENTRY(change) link;       /* of those that are at work, or of those that wait for one of them */
    TAILQ_HEAD(, change) followers; /* that wait for this one */
    struct router *router;
    const struct change_handlers *handlers;
    void *arg;
    char conversation[ID_HASH_SIZE > ID_TOKEN_MAX + 1 ? ID_HASH_SIZE : ID_TOKEN_MAX + 1];
    int tries;
    int64_t began_ms;
    uv_timer_t *pause; /* before the next try; NULL: none */
};
TAILQ_HEAD(change_list, change);

/* `conversation` is its key (id_is_token), and copied. The rest is lent until `done`. */
void change_start(struct router *router, struct change *change, const char *conversation,
                  const struct change_handlers *handlers, void *arg);
/* When the service ends: it pauses no more. */
void change_stop(struct change *change);

#endif
