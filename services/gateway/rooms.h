/* Rooms: connections that see the same messages, answers and broadcasts, on any number of gateways. A room is known by
 * its key, id_hash() of its name. While it has members here, this gateway subscribes to its subject.
 *
 * A turn that is asked in a room is followed by its asker from the beginning, and by all other members here as soon as
 * an agent has started; a member that comes later follows from the answer's beginning. A turn that was asked elsewhere
 * is begun here by the first sign of an agent at work on it; what was said before that is asked for as after any loss
 * (recover.h); so is one that its asker here has cancelled before any agent had started: the others see its end. What
 * is said of a turn that has ended here does not begin it again, and while none of the members here has come in, none
 * is begun: there is always one who follows it. */
#ifndef PARLEY_ROOMS_H
#define PARLEY_ROOMS_H

#include "gateway.h"

#include "event.pb-c.h"

struct connection;
struct room;
struct turn;

/* Makes the connection a member of the room that its client names, and takes the name. No name: nothing. */
void room_join(struct connection *connection);
/* It follows the answers that are being given in its room: from now on it is told all. */
void room_catch_up(struct connection *connection);
void room_leave(struct connection *connection); /* in no room: nothing */

struct gateway *room_gateway(const struct room *room);
const char *room_key(const struct room *room);
/* What its members are said to have asked for where they follow somebody else's question. */
const struct dialect_request *room_request(const struct room *room);

/* The turn belongs to the room, until it has ended or is forgotten. */
void room_add_turn(struct room *room, struct turn *turn);
/* All members follow the turn, which an agent has started. */
void room_follow(struct turn *turn);
/* The turn has ended here. */
void room_end_turn(struct turn *turn);

/* The event is no turn's, and is for all members: true. */
bool room_take_event(struct room *room, const Parley__Event *event);
/* Begins a turn that was asked elsewhere and that the event shows at work; NULL: it shows none, or nobody is here to
 * follow it. */
struct turn *room_begin_turn(struct room *room, const Parley__Event *event);

/* No room's events come any more. */
void rooms_stop(struct gateway *gateway);

#endif
