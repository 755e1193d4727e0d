/* A question, taken here or asked elsewhere in a room that has members here, and its answer, from the queue of its
 * connection to the last frame.
 *
 *   WAITING --turn_ask--> ASKED --Accepted--> ACCEPTED --an agent's first event--> STARTED
 *                           |                    |                                    |
 *                           |  no word in time   |  no agent in time                  |  the end, and all before it;
 *                           v                    v                                    v  lost for too long
 *                         ENDED <----------------+------------------------------------+
 *
 * One that was asked elsewhere is begun as ASKED and is STARTED at once (rooms.h); one that a client comes back to is
 * begun as ACCEPTED, until an agent is heard of.
 *
 * While in flight (ASKED to STARTED) it is found by its id. Once ended it lives as long as a follower has not been sent
 * all of it. A turn that nobody follows is forgotten here, and runs on: unless its cancellation is awaited. */
#ifndef PARLEY_TURN_H
#define PARLEY_TURN_H

#include "answer.h"
#include "gateway.h"
#include "outbox.h"

enum turn_phase { TURN_WAITING, TURN_ASKED, TURN_ACCEPTED, TURN_STARTED, TURN_ENDED };

struct cancel;
struct recovery;
struct room;
struct withdrawal;

struct turn {
    char id[ID_SIZE];
    char connection[ID_SIZE]; /* that asked */
    struct gateway *gateway;
    struct connection *asker; /* NULL: gone, or elsewhere */
    struct trace trace;       /* none: asked elsewhere */
    bool uncounted;           /* in the metrics of turns: asked elsewhere, or cancelled by its asker */
    struct room *room;        /* in flight and in a room; NULL: not so */
    struct chain in_room;
    struct dialect_request request;
    char conversation[ID_HASH_SIZE]; /* its key, where its answer is looked for if it has no record; empty: nowhere */
    enum turn_phase phase;
    struct chain in_flight;
    struct turn *next_waiting; /* in its connection's queue */
    struct table_entry by_id;
    struct answer answer;
    size_t held; /* of the service's budget: for the question while it waits, then for the answer */
    struct follower *followers;
    bool aged;                     /* asked so long ago that it is over if it has no record */
    bool has_gap;                  /* something was lost, and has not come again yet */
    struct recovery *recovery;     /* NULL: none under way */
    struct withdrawal *withdrawal; /* NULL: none awaited */
    struct cancel *cancel;         /* the client's cancel that awaits its end; NULL: none */
    /* Monotonic milliseconds. */
    int64_t asked_ms;
    int64_t heard_ms;    /* the last sign of somebody at work, or when none could reach us */
    int64_t inquired_ms; /* the last time it was asked after, or heard of */
    int64_t give_up_ms;  /* ASKED, ACCEPTED: the next phase must be there by then */
};

/* Takes the request. */
struct turn *turn_new(struct gateway *gateway, struct connection *asker, const char *id,
                      struct dialect_request *request);
/* One that the connection of this id has asked elsewhere; in flight, and in the room. */
struct turn *turn_join(struct gateway *gateway, struct room *room, const char *id, const char *connection);
/* Forgets it, wherever it stands, without a word to anybody. NULLs the pointer. */
void turn_forget(struct turn **turn);

/* Puts it in flight: its asker follows, a router is asked. May end it at once (turn_fail). */
void turn_ask(struct turn *turn);

/* Its answer has changed: wakes the followers, and ends it if that was the end. Don't touch the turn afterwards. */
void turn_changed(struct turn *turn);
/* An agent or router has spoken of it. Moves on, too. */
void turn_heard(struct turn *turn);
/* The broker is there again: it is asked after, and the silence that counts begins now. */
void turn_reconnected(struct turn *turn);
/* Its phase is STARTED where its answer has started: then all of its room follow it. */
void turn_move_on(struct turn *turn);
/* The connection, which follows it in no way yet, does so. */
void turn_follow(struct turn *turn, struct connection *connection);
/* What is known of a turn that was asked over an earlier connection. Lent. */
struct turn_past {
    const char *id;
    const char *conversation; /* the key, or empty */
    bool aged;
    int64_t start_within_ms; /* if no agent has started, it has as long as this */
    uint64_t from;           /* the client has so many bytes of the answer */
};
/* The connection goes on with it. Takes the request, where the turn is not in flight here. */
void turn_resume(struct connection *connection, struct dialect_request *request, const struct turn_past *past);
/* It was only to be kept, and that is done: ends it, and tells its asker. Don't touch the turn afterwards. */
void turn_noted(struct turn *turn);
/* Nobody goes on with it, as was asked for. Don't touch the turn afterwards. */
void turn_cancelled(struct turn *turn);
/* The job is in the queue; an agent has to start within so many milliseconds. */
void turn_accepted(struct turn *turn, int64_t start_within_ms);
/* Ends it with an error to all who follow. Don't touch the turn afterwards. */
void turn_fail(struct turn *turn, const char *reason);
/* What the news of its answer ask for: waking followers, repairing a gap, giving up. Don't touch the turn afterwards.
 */
void turn_take_news(struct turn *turn, enum answer_news news);
/* Looks at its deadlines. Don't touch the turn afterwards. */
void turn_tick(struct turn *turn, int64_t now_ms);

struct turn *turn_find(const struct gateway *gateway, const char *id); /* in flight; NULL: none */

/* Ends the follower, who has been told the end or doesn't want it any more, and the turn with the last of them. NULLs
 * the pointer. */
void turn_unfollow(struct follower **follower);

#endif
