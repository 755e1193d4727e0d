#include "session.h"

#include "clock.h"
#include "gateway.pb-c.h"
#include "held.h"
#include "log.h"
#include "mem.h"
#include "store.h"
#include "stores.h"
#include "subjects.h"
#include "turn.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct session {
    struct chain link; /* of the gateway, while its record is being read; it outlives its connection then */
    struct gateway *gateway;
    struct connection *connection; /* NULL: gone */
    char token[ID_TOKEN_MAX + 1];
    uint64_t offset;                 /* what the client has of the answer that it goes on with */
    char turn[ID_SIZE];              /* that its record may name; empty: none */
    char conversation[ID_HASH_SIZE]; /* the turn's */
    bool confirming;                 /* the next pong shows that the end was received */
};

static void make_token(struct session *session)
{
    char ids[2][ID_SIZE], token[ID_HASH_SIZE];
    id_uuid(ids[0]);
    id_uuid(ids[1]);
    id_hash(ids, sizeof ids, token);
    memcpy(session->token, token, sizeof token);
}

/* What is stored can't be used by who reads it. */
static void make_key(const struct session *session, char key[ID_HASH_SIZE])
{
    id_hash(session->token, strlen(session->token), key);
}

static void tell(struct session *session, enum dialect_occasion_kind kind, bool resumed)
{
    struct dialect_occasion occasion = connection_occasion(kind);
    occasion.id = session->token;
    occasion.ok = resumed;
    connection_tell(session->connection, &occasion);
}

/* ---- The record */

static const char *origin_of(const struct connection *connection)
{
    return connection->client.origin[0] ? connection->client.origin : connection->client.id;
}

static const char *user_of(const struct connection *connection)
{
    return connection->client.user ? connection->client.user : "";
}

static void on_written(void *arg, int err, uint64_t revision, bool duplicate)
{
    (void)arg;
    (void)revision;
    (void)duplicate;
    if (err)
        log_warning("a session could not be kept", LOG_ERR(err));
}

static void set_turn(struct session *session, const char *turn, const char *conversation)
{
    snprintf(session->turn, sizeof session->turn, "%s", turn);
    snprintf(session->conversation, sizeof session->conversation, "%s", conversation);
}

/* `turn`: the session's; NULL: there is none any more. */
static void write_record(struct session *session, const struct turn *turn, int64_t start_deadline_ms)
{
    const struct connection *connection = session->connection;
    Parley__Session record = PARLEY__SESSION__INIT;
    record.connection = (char *)origin_of(connection);
    record.dialect = (char *)connection->dialect->name;
    record.user = (char *)user_of(connection);
    if (turn) {
        record.conversation = session->conversation;
        record.turn = session->turn;
        record.mode = turn->request.mode;
        record.text = turn->request.text;
        const char *note = turn->request.note;
        record.note = (ProtobufCBinaryData){.len = note ? strlen(note) : 0, .data = (uint8_t *)note};
        record.asked_ms = clock_wall_ms();
        record.start_deadline_ms = start_deadline_ms;
    } else {
        set_turn(session, "", "");
    }
    session->confirming = false;
    char key[ID_HASH_SIZE];
    make_key(session, key);
    struct buf packed = {0};
    wire_pack(&record.base, &packed);
    store_put(session->gateway->service->bus, BUCKET_SESSIONS, key, STORE_ANY, &packed, STORE_TIMEOUT_MS, on_written,
              NULL);
    buf_deinit(&packed);
}

static bool is_id(const char *text)
{
    return strlen(text) == ID_SIZE - 1 && id_is_token_text(text);
}

/* Whether it is this client's: of this protocol, and of this user. */
static bool is_own(const struct connection *connection, const Parley__Session *record)
{
    return is_id(record->connection) && strcmp(record->dialect, connection->dialect->name) == 0 &&
           strcmp(record->user, user_of(connection)) == 0;
}

/* ---- Going on */

/* Whether the turn's record would be kept no more, had it not been written since. */
static bool is_old(const struct session *session, const Parley__Session *record)
{
    bool waited = record->start_deadline_ms > record->asked_ms;
    int64_t began_ms = waited ? record->start_deadline_ms : record->asked_ms; /* at the latest */
    return clock_wall_ms() - began_ms > session->gateway->service->common.turns_max_age_seconds * 1000;
}

/* At the least as long as an agent may be silent: it may be at work, and has to be found first. */
static int64_t start_within_ms(const struct session *session, const Parley__Session *record)
{
    int64_t left_ms = record->start_deadline_ms - clock_wall_ms();
    int64_t least_ms = session->gateway->settings->turn_lost_timeout_ms;
    return left_ms > least_ms ? left_ms : least_ms;
}

static void resume_turn(struct session *session, const Parley__Session *record)
{
    struct dialect_span note = gateway_text(&record->note);
    struct dialect_request request = {
        .kind = DIALECT_ASK,
        .mode = (uint8_t)record->mode,
        .text = record->text == DIALECT_WHOLE ? DIALECT_WHOLE : DIALECT_DELTAS,
        .note = note.len > 0 ? mem_strndup(note.data, note.len) : NULL,
    };
    const struct turn_past past = {
        .id = record->turn,
        .conversation = id_is_token_text(record->conversation) ? record->conversation : "",
        .aged = is_old(session, record),
        .start_within_ms = start_within_ms(session, record),
        .from = session->offset,
    };
    set_turn(session, past.id, past.conversation);
    turn_resume(session->connection, &request, &past);
    dialect_request_deinit(&request);
}

static void go_on(struct session *session, const Parley__Session *record)
{
    bool known = record && is_own(session->connection, record);
    bool resumed = known && is_id(record->turn);
    if (known)
        memcpy(session->connection->client.origin, record->connection, ID_SIZE);
    else
        make_token(session);
    tell(session, DIALECT_RESUMED, resumed);
    if (resumed)
        resume_turn(session, record);
}

static void on_record(void *arg, int err, const void *value, size_t len, uint64_t revision)
{
    (void)revision;
    struct session *session = arg;
    Parley__Session *record = NULL;
    chain_remove(&session->link);
    if (!session->connection) {
        free(session);
        return;
    }
    bool answered = !err || err == ERR_NOT_FOUND;
    if (!err)
        err = wire_unpack(session->gateway->arena, &parley__session__descriptor, value, len, &record);
    if (err)
        log_info("a session could not be resumed", LOG_TEXT("connection", session->connection->client.id),
                 LOG_TRACE(&session->connection->trace), LOG_ERR(err));
    if (!answered) {
        connection_close(session->connection, CLOSE_TRY_LATER, "sessions can't be looked up now, please try again");
        return;
    }
    go_on(session, err ? NULL : record);
    held_end(session->connection);
}

static void read_record(struct session *session)
{
    char key[ID_HASH_SIZE];
    make_key(session, key);
    chain_add(&session->gateway->sessions, &session->link);
    held_begin(session->connection);
    store_get(session->gateway->service->bus, BUCKET_SESSIONS, key, STORE_TIMEOUT_MS, on_record, session);
}

/* ---- The life of a connection */

static uint64_t read_offset(const struct web_head *head)
{
    const char *text = web_head_argument(head, "offset");
    uint64_t offset = 0;
    return text && sscanf(text, "%" SCNu64, &offset) == 1 ? offset : 0;
}

void session_open(struct connection *connection, const struct web_head *head)
{
    if (!connection->client.extended || !connection->dialect->resumes || connection->doomed || connection->ending)
        return;
    struct session *session = mem_alloc(sizeof *session);
    session->gateway = connection->gateway;
    session->connection = connection;
    connection->session = session;
    session->offset = read_offset(head);
    const char *token = web_head_argument(head, "resume");
    if (token && id_is_token_text(token)) {
        memcpy(session->token, token, strlen(token) + 1);
        read_record(session);
        return;
    }
    make_token(session);
    tell(session, token ? DIALECT_RESUMED : DIALECT_SESSION, false);
}

void session_close(struct connection *connection)
{
    struct session *session = connection->session;
    held_drop(connection);
    connection->session = NULL;
    if (!session)
        return;
    session->connection = NULL;
    if (!session->link.at)
        free(session);
}

void session_asked(struct connection *connection, const struct turn *turn)
{
    struct session *session = connection->session;
    if (!session)
        return;
    char conversation[ID_HASH_SIZE];
    id_hash(turn->request.conversation.data, turn->request.conversation.len, conversation);
    set_turn(session, turn->id, conversation);
    write_record(session, turn, 0);
}

/* What starts sooner than anybody gives it up needs no deadline. */
void session_accepted(struct connection *connection, const struct turn *turn, int64_t start_within_ms)
{
    struct session *session = connection->session;
    bool waits = start_within_ms > connection->gateway->settings->turn_lost_timeout_ms;
    if (session && waits && strcmp(session->turn, turn->id) == 0)
        write_record(session, turn, clock_wall_ms() + start_within_ms);
}

void session_told_end(struct connection *connection)
{
    struct session *session = connection->session;
    if (!session || !session->turn[0] || connection->running > 0)
        return;
    session->confirming = true;
    connection_ping(connection);
}

void session_ponged(struct connection *connection)
{
    if (connection->session && connection->session->confirming)
        write_record(connection->session, NULL, 0);
}

void session_cancelled(struct connection *connection)
{
    if (connection->session && connection->session->turn[0])
        write_record(connection->session, NULL, 0);
}

void session_free_all(struct gateway *gateway)
{
    while (gateway->sessions) {
        struct session *session = OWNER_OF(gateway->sessions, struct session, link);
        chain_remove(&session->link);
        free(session);
    }
}
