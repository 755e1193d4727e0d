/* What waits to be sent to one client, in two lanes: frames that are ready (replies, errors), and answers that it
 * follows. A follower is only a place in an answer that the gateway holds anyway; its frames are made when the socket
 * can take one, so that all text that came meanwhile leaves as one. Ready frames go first: a pong does not wait for an
 * answer, and an answer's frames are small enough to be passed between.
 *
 * Within an answer the order is kept: taken up, started, text and tool steps where they stand in it, the end. A serial
 * dialect's followers are rendered one after the other; others take turns.
 *
 * Pull only: no I/O. Costs nothing while empty. */
#ifndef PARLEY_OUTBOX_H
#define PARLEY_OUTBOX_H

#include "answer.h"
#include "dialect.h"

/* Text in one frame at most, but for a dialect that sends an answer's whole text each time. */
#define OUTBOX_TEXT_BYTES (64 << 10)

struct connection;
struct turn;

/* One client's place in one answer. Lent to the outbox; `turn`, `connection` and `next_of_turn` are for its owner. */
struct follower {
    struct follower *next; /* in the outbox */
    const struct answer *answer;
    const struct dialect_request *request; /* what was asked */
    uint64_t offset;                       /* what of the text has been sent */
    uint64_t from;  /* what the client has from an earlier connection; nothing is told before that is here, too. 0: it
                       is, or there is none */
    uint32_t steps; /* what of the tool steps */
    bool taken_up_told, started_told;

    struct turn *turn;
    struct connection *connection;
    struct follower *next_of_turn;
};

struct outbox_frame;

struct outbox {
    struct outbox_frame *ready, **ready_end;
    size_t ready_bytes;
    struct follower *followers;
};

/* For what it is read: how its frames are made. All lent. */
struct outbox_reader {
    const struct dialect *dialect;
    const struct dialect_client *client;
    struct frames *scratch;
    double now; /* Unix seconds */
};

void outbox_deinit(struct outbox *outbox); /* followers are the caller's, and must have left */

/* Queues the frames, which are taken (and are empty afterwards). */
void outbox_push(struct outbox *outbox, struct frames *frames);
/* Follows an answer, behind those that it follows already. */
void outbox_follow(struct outbox *outbox, struct follower *follower);
/* The answer has changed: one that waits for what its client has already goes on from there when it has come. */
void outbox_catch_up(struct follower *follower);
void outbox_unfollow(struct outbox *outbox, struct follower *follower);

/* Whether there is something to send now. */
bool outbox_ready(const struct outbox *outbox, bool serial);
/* What waits because of the client: bytes that could be sent and are not. */
size_t outbox_lag(const struct outbox *outbox);
/* Makes the next frame; false: there is none now. `*ended` is set to a follower that has now been told its answer's end
 * and has left the outbox; there may be one without a frame. */
bool outbox_next(struct outbox *outbox, const struct outbox_reader *reader, struct buf *frame,
                 struct follower **ended) MUST_CHECK;

#endif
