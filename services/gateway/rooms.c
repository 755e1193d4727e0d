#include "rooms.h"

#include "connection.h"
#include "mem.h"
#include "recent.h"
#include "subjects.h"
#include "turn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct room {
    struct table_entry by_key; /* of the gateway */
    char key[ID_HASH_SIZE];
    struct chain link; /* of the gateway */
    struct gateway *gateway;
    struct bus_subscription *subscription;
    struct chain *members, *turns;
    struct dialect_request request;
    struct recent *ended; /* NULL: none yet */
};

/* ---- Coming and going */

static struct room *open_room(struct connection *connection, const char *key)
{
    struct gateway *gateway = connection->gateway;
    struct room *room = mem_alloc(sizeof *room);
    memcpy(room->key, key, sizeof room->key);
    room->gateway = gateway;
    room->request = (struct dialect_request){.kind = DIALECT_ASK, .text = connection->dialect->room_text};
    table_add(&gateway->rooms, &room->by_key, room->key);
    chain_add(&gateway->room_list, &room->link);
    char subject[SUBJECT_SIZE];
    snprintf(subject, sizeof subject, SUBJECT_ROOM, room->key);
    if (!gateway->stopped)
        room->subscription = bus_subscribe(gateway->service->bus, subject, NULL, on_room_event, room);
    return room;
}

static void close_room(struct room *room)
{
    while (room->turns) { /* only such as nobody follows: their cancellation is awaited */
        struct turn *turn = OWNER_OF(room->turns, struct turn, in_room);
        chain_remove(&turn->in_room);
        turn->room = NULL;
    }
    bus_unsubscribe(&room->subscription);
    chain_remove(&room->link);
    table_remove(&room->gateway->rooms, &room->by_key);
    free(room->ended);
    free(room);
}

void room_join(struct connection *connection)
{
    struct buf *name = &connection->client.room;
    char key[ID_HASH_SIZE];
    if (name->len == 0)
        return;
    id_hash(name->data, name->len, key);
    buf_deinit(name);
    struct room *room = OWNER_OF(table_find(&connection->gateway->rooms, key), struct room, by_key);
    connection->room = room ? room : open_room(connection, key);
    chain_add(&connection->room->members, &connection->membership);
}

void room_leave(struct connection *connection)
{
    struct room *room = connection->room;
    if (!room)
        return;
    connection->room = NULL;
    chain_remove(&connection->membership);
    if (!room->members)
        close_room(room);
}

void rooms_stop(struct gateway *gateway)
{
    for (struct chain *link = gateway->room_list; link; link = link->next)
        bus_unsubscribe(&OWNER_OF(link, struct room, link)->subscription);
}

struct gateway *room_gateway(const struct room *room)
{
    return room->gateway;
}

const char *room_key(const struct room *room)
{
    return room->key;
}

const struct dialect_request *room_request(const struct room *room)
{
    return &room->request;
}

/* ---- Its turns */

void room_add_turn(struct room *room, struct turn *turn)
{
    turn->room = room;
    chain_add(&room->turns, &turn->in_room);
}

/* Whether it is told what happens in its room. */
static bool is_listening(const struct connection *member)
{
    return !member->join && !member->doomed && !member->ending;
}

static bool is_following(const struct turn *turn, const struct connection *connection)
{
    for (const struct follower *follower = turn->followers; follower; follower = follower->next_of_turn)
        if (follower->connection == connection)
            return true;
    return false;
}

/* Who asked follows from the beginning, or has stopped following. */
static bool may_join_in(const struct connection *member, const char *asker)
{
    return is_listening(member) && strcmp(member->client.id, asker) != 0;
}

void room_follow(struct turn *turn)
{
    for (struct chain *link = turn->room->members; link; link = link->next) {
        struct connection *member = OWNER_OF(link, struct connection, membership);
        if (may_join_in(member, turn->connection) && !is_following(turn, member))
            turn_follow(turn, member);
    }
}

void room_catch_up(struct connection *connection)
{
    struct room *room = connection->room;
    for (struct chain *link = room ? room->turns : NULL; link; link = link->next) {
        struct turn *turn = OWNER_OF(link, struct turn, in_room);
        if (turn->phase == TURN_STARTED && !turn->cancel)
            turn_follow(turn, connection);
    }
}

void room_end_turn(struct turn *turn)
{
    struct room *room = turn->room;
    if (!room)
        return;
    if (turn->phase >= TURN_STARTED) { /* else only its asker was told of it */
        if (!room->ended)
            room->ended = mem_alloc(sizeof *room->ended);
        recent_add(room->ended, turn->id);
    }
    chain_remove(&turn->in_room);
    turn->room = NULL;
}

/* What an agent says while it is at work. An end begins nothing: who comes after it has not been there. */
static bool shows_work(const Parley__Event *event)
{
    switch (event->kind_case) {
    case PARLEY__EVENT__KIND_STARTED:
    case PARLEY__EVENT__KIND_CHUNK:
    case PARLEY__EVENT__KIND_TOOL_STARTED:
    case PARLEY__EVENT__KIND_TOOL_FINISHED:
    case PARLEY__EVENT__KIND_ALIVE:
        return event->attempt > 0;
    default:
        return false;
    }
}

static bool has_followers(const struct room *room, const char *asker)
{
    for (struct chain *link = room->members; link; link = link->next)
        if (may_join_in(OWNER_OF(link, struct connection, membership), asker))
            return true;
    return false;
}

struct turn *room_begin_turn(struct room *room, const Parley__Event *event)
{
    bool valid = strlen(event->turn) == ID_SIZE - 1 && strlen(event->connection) == ID_SIZE - 1 &&
                 id_is_token(event->turn, ID_SIZE - 1) && id_is_token(event->connection, ID_SIZE - 1);
    bool known = room->ended && recent_has(room->ended, event->turn);
    if (!shows_work(event) || !valid || known || !has_followers(room, event->connection))
        return NULL;
    return turn_join(room->gateway, room, event->turn, event->connection);
}

/* ---- What all members are told */

static void tell_members(const struct room *room, struct dialect_occasion *occasion)
{
    for (struct chain *link = room->members; link; link = link->next) {
        struct connection *member = OWNER_OF(link, struct connection, membership);
        if (is_listening(member))
            connection_tell(member, occasion);
    }
}

/* Nobody is told what can't be read. */
static void tell_message(const struct room *room, const Parley__Event *event)
{
    const Parley__RoomMessage *message = event->room_message;
    struct dialect_occasion occasion = connection_occasion(DIALECT_ROOM_MESSAGE);
    occasion.message_id = message->message_id;
    occasion.text = gateway_text(&message->text);
    occasion.data = gateway_text(&message->chain);
    occasion.connection = event->connection;
    occasion.when = (double)message->asked_ms / 1000;
    if (occasion.text.len == message->text.len && occasion.data.len == message->chain.len)
        tell_members(room, &occasion);
}

static void tell_broadcast(const struct room *room, const Parley__Event *event)
{
    struct dialect_occasion occasion = connection_occasion(DIALECT_BROADCAST);
    occasion.data = gateway_text(&event->broadcast->message);
    occasion.when = (double)event->broadcast->sent_ms / 1000;
    if (occasion.data.len > 0)
        tell_members(room, &occasion);
}

bool room_take_event(struct room *room, const Parley__Event *event)
{
    switch (event->kind_case) {
    case PARLEY__EVENT__KIND_ROOM_MESSAGE:
        tell_message(room, event);
        return true;
    case PARLEY__EVENT__KIND_BROADCAST:
        tell_broadcast(room, event);
        return true;
    default:
        return false;
    }
}
