/* What the protocols answer over HTTP, as pure functions of what the gateway has gathered: the gateway routes and
 * gathers, and sends what these make. JSON values are new references; a `body` is appended to. Lists are lent. */
#ifndef PARLEY_DIALECT_REST_H
#define PARLEY_DIALECT_REST_H

#include "dialect.h"

/* One open connection, on any gateway. */
struct dialect_connection {
    const char *id;
    const char *name; /* as dialect_client's: a pipeline, a user; "" for none */
    uint8_t variant;
    double connected_at, received_at; /* Unix seconds; the latter of the last message, or of the opening */
    uint64_t frames_sent;
};

/* ---- Agent engine */

/* GET /ws/statistics */
json_t *agent_engine_statistics(const struct dialect_counts *counts, const struct dialect_connection *list,
                                size_t count, double now);

/* ---- YYChat */

/* GET /ws/status */
json_t *yychat_status(const struct dialect_counts *counts);
/* GET /ws/handlers; `middleware` are the names of what every message passes before its handler, in order. */
json_t *yychat_handlers(const char *const *middleware, size_t count);
/* Any of the two, where it can't be had. */
json_t *yychat_failure(const char *message);

/* ---- Contact (these calls are parley's own) */

struct contact_listed {
    uint64_t number;
    const char *request, *connection;
    struct dialect_span message, timestamp, user_agent; /* len 0: not said */
    double received;                                    /* Unix seconds */
};

/* GET /api/v1/contacts?before=n&limit=n, newest first; `next` is `before` of the next page, 0: this is the last. */
json_t *contact_list(const struct contact_listed *list, size_t count, uint64_t next);
/* POST /api/v1/contacts/broadcast {"message":text}: appends the message as JSON for DIALECT_BROADCAST, which goes to
 * the room contact_name_room(). NULL, or what is wrong with the body: 400. */
const char *contact_read_broadcast(const char *body, size_t len, struct buf *message);
void contact_name_room(struct buf *out);

/* ---- LangBot */

enum langbot_session { LANGBOT_NO_SESSION, LANGBOT_PERSON, LANGBOT_GROUP }; /* dialect_client.variant */

enum langbot_call_kind { LANGBOT_MESSAGES, LANGBOT_RESET, LANGBOT_CONNECTIONS, LANGBOT_BROADCAST };

struct langbot_call {
    enum langbot_call_kind kind;
    const char *method;              /* the one that it is called with; others: 405 */
    char pipeline[ID_TOKEN_MAX + 1]; /* "": none can have this name: 404, LANGBOT_UNKNOWN_PIPELINE */
    enum langbot_session session;    /* of MESSAGES and RESET; NO_SESSION there: 400, LANGBOT_BAD_SESSION */
};

#define LANGBOT_UNKNOWN_PIPELINE "Pipeline not found"
#define LANGBOT_BAD_SESSION      "session_type must be person or group"

/* The call at /api/v1/pipelines/<uuid>/ws/…; false: there is none at this path. */
bool langbot_find_call(const char *path, struct langbot_call *out);
/* The name of the conversation and of the room of a pipeline's session. A broadcast goes to both rooms. */
void langbot_name_session(struct buf *out, const char *pipeline, enum langbot_session session);

/* A message of a session. */
struct langbot_message {
    uint64_t id;
    bool from_user;
    bool is_final;
    struct dialect_span text;
    struct dialect_span chain; /* JSON array; empty: one Plain of the text */
    double when;               /* Unix seconds: asked, or the answer's beginning */
    const char *connection;    /* who asked; "" for an answer */
};

void langbot_reply_messages(struct buf *body, const struct langbot_message *list, size_t count);
/* `message` of the body as JSON for DIALECT_BROADCAST. NULL, or what is wrong: 400. */
const char *langbot_read_broadcast(const char *body, size_t len, struct buf *message);
/* All connections of the protocol go in, for the statistics; those of the pipeline are listed. */
json_t *langbot_reply_connections(const struct dialect_connection *list, size_t count, const char *pipeline);
/* RESET and BROADCAST are done. */
json_t *langbot_reply_done(enum langbot_call_kind kind);
json_t *langbot_failure(const char *message);

#endif
