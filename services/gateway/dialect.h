/* The seam between the gateway and a protocol: how that protocol's JSON becomes a request, and how an occasion becomes
 * its JSON. A dialect is one file in dialects/ and one row in dialect.c; what it answers over HTTP is in
 * dialect_rest.h, and what dialects have in common in dialect_message.h.
 *
 * A dialect is pure policy: it does no I/O, reads no clock, makes no ids and logs nothing. What it needs of these is
 * handed to it. It keeps nothing: what it has to remember of a client or of a question stands in their structs. */
#ifndef PARLEY_DIALECT_H
#define PARLEY_DIALECT_H

#include "buf.h"
#include "frames.h"
#include "id.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dialect_span {
    const char *data;
    size_t len;
};

/* ---- What a dialect knows of a connection */

struct dialect_client {
    char id[ID_SIZE];
    char origin[ID_SIZE]; /* the id of the first connection of its session; empty: it is that itself */
    bool extended;        /* asked for what is beyond the originals, with ?parley=1 */
    uint8_t variant;      /* the dialect's own, such as a session type */
    char *name; /* the dialect's own, from the path: a user, a pipeline; NULL: none. Freed with the connection */
    char *user; /* whose credential it gave; NULL: none asked for, or none given yet. Freed with the connection */
    /* Set by open(): the name of the room whose messages, answers and broadcasts it gets, made with dialect_name(); its
     * key is id_hash() of it. Empty: none. The client is a member when open() has returned, or, where that asks for
     * DIALECT_JOIN, before JOINED is told: so nothing is missed that is sent after the greeting. Freed with the
     * connection, or as soon as it has joined. */
    struct buf room;
    /* Of the pipeline that it has joined: which messages of a group are for the model, those that begin so and those
     * that mention this name. NULL: the protocol's own. Freed with the connection. */
    char *group_trigger, *group_mention;
};

/* Frees what the client holds. */
void dialect_client_deinit(struct dialect_client *client);

/* How many there are of a dialect, for those that tell their clients. */
struct dialect_counts {
    uint64_t active;
    uint64_t total;
    uint64_t frames_sent;
    uint64_t max_connections;
    double uptime_seconds; /* of this process */
};

/* Where and when something comes from a client. */
struct dialect_context {
    double now; /* Unix seconds */
    const struct dialect_counts *counts;
    const char *fresh_id; /* a new UUID, which becomes the turn's, the call's or the contact request's own */
    const char *apology;  /* CONTACT_APOLOGY: what contact's clients are told instead of an error. Never NULL */
    /* The value of a query argument of the address, or NULL; only in open(). */
    const char *(*argument)(const void *address, const char *name);
    const void *address;
};

/* ---- What a client wants */

enum dialect_request_kind {
    DIALECT_NOTHING, /* the frames say it all */
    DIALECT_ASK,
    DIALECT_CALL_TOOL,
    DIALECT_CANCEL, /* all that runs or waits on this connection */
    DIALECT_CLOSE,  /* after the frames, normally */
    /* Only from open(): whether `pipeline` exists has to be asked. Until that is known, what the client sends waits.
     * Ends with JOINED, or with NO_PIPELINE or JOIN_FAILED, and then the connection is closed normally after their
     * frames. */
    DIALECT_JOIN,
    /* A contact request to be stored: its message is `question`, its id is fresh_id. Ends with CONTACT_STORED or
     * CONTACT_FAILED. */
    DIALECT_CONTACT,
    /* The dialect's counts, of all gateways that answer in time. Ends with STATUS. */
    DIALECT_GET_STATUS
};

enum dialect_text {
    DIALECT_DELTAS,     /* each piece of text once */
    DIALECT_CUMULATIVE, /* each time all text so far; dialect_text_due() says when */
    DIALECT_WHOLE       /* no pieces: the whole text with the end */
};

/* A question, a call or another request, and what its dialect needs to know again when its answer comes. */
struct dialect_request {
    enum dialect_request_kind kind;
    uint8_t mode;   /* the dialect's own: which of its ways of asking */
    char *note;     /* the dialect's own; NULL: none. Freed with the request */
    json_t *source; /* what the lent texts point into; a reference of its own */
    size_t bytes;   /* of the message that it came in; filled in by the gateway */

    /* DIALECT_ASK */
    enum dialect_text text;
    const char *question; /* lent */
    size_t question_len;
    struct buf conversation; /* its name, see dialect_name_conversation() */
    const char *pipeline;    /* lent, as long as the client at least; NULL: the default one. Also of JOIN */
    const char *persona;     /* lent; NULL: the pipeline's own */
    const char *credential;  /* lent; the user's own, given with this question: to be checked where authentication is
                              * on, and passed on to tools. NULL: that of the connection, if any */
    bool use_tools;
    /* Its answer goes to all members of the client's room; those who have not asked follow it as soon as an agent has
     * started, and see it as their dialect's `room_text` says. */
    bool in_room;
    bool counted;     /* the room counts its messages, and shows the question to all members: ROOM_MESSAGE */
    bool no_answer;   /* counted: only to be kept and shown. Nothing more is told of it, but for NOTED or FAILED */
    struct buf chain; /* counted: the question as its protocol has it, a JSON array. Empty: none */

    /* DIALECT_CONTACT: as the client says, lent; data NULL: not said */
    struct dialect_span timestamp, user_agent;

    /* DIALECT_CALL_TOOL */
    const char *tool; /* lent; any text */
    size_t tool_len;
    struct buf arguments; /* a JSON object */
};

void dialect_request_deinit(struct dialect_request *request);
/* Frees what is only needed to ask: kind, mode, note and text stay. */
void dialect_request_forget_question(struct dialect_request *request);
/* The name of a thing of any kind among those of `scope` ("connection", "minimal", …): scopes can't be mixed up. */
void dialect_name(struct buf *out, const char *scope, const char *name, size_t len);
/* The same for the conversation of a request. */
void dialect_name_conversation(struct dialect_request *request, const char *scope, const char *name, size_t len);

/* Whether a piece of the answer is to be sent of which `sent` bytes have been and `there` bytes are there, before its
 * end or a tool step asks for the rest. DELTAS: at once. CUMULATIVE: the first at once, then as it has grown by a
 * sixteenth, 32 bytes at least: so all frames of an answer together are not longer than about 17 times the answer,
 * however small its pieces are. WHOLE: never. */
bool dialect_text_due(enum dialect_text text, size_t sent, size_t there);

/* ---- What becomes of it */

enum dialect_occasion_kind {
    /* Of a question, in this order. All have message_id, and `when`: the beginning of the answer. */
    DIALECT_TAKEN_UP,      /* its turn has come; it goes to a router now. Neither of the two is known yet */
    DIALECT_STARTED,       /* an agent has begun. Not told before FAILED or CANCELLED if none has */
    DIALECT_TEXT,          /* text, all */
    DIALECT_TOOL_STARTED,  /* tool, call, data: its arguments */
    DIALECT_TOOL_FINISHED, /* tool, call, ok, data: its result */
    DIALECT_COMPLETED,     /* all, vendor, model */
    DIALECT_FAILED,        /* all, reason; also a question that was refused before it was taken up */
    DIALECT_CANCELLED,     /* all; by somebody else: the client's own cancel is answered by CANCEL_DONE */
    DIALECT_NOTED,         /* of `no_answer`, its end: it was kept and shown. Has neither of them */
    /* Of a call by the client itself. */
    DIALECT_TOOL_RESULT,    /* tool, data */
    DIALECT_TOOL_NOT_FOUND, /* tool */
    DIALECT_TOOL_FAILED,    /* tool, reason */
    /* Of the connection. */
    DIALECT_CANCEL_DONE, /* nothing runs or waits any more that did when the cancel was read */
    DIALECT_IDLE,        /* about to be closed for its silence */
    DIALECT_JOINED,
    DIALECT_NO_PIPELINE,    /* about to be closed */
    DIALECT_JOIN_FAILED,    /* reason; about to be closed */
    DIALECT_CONTACT_STORED, /* id: the request's */
    DIALECT_CONTACT_FAILED, /* reason */
    DIALECT_STATUS,         /* counts */
    DIALECT_SESSION,        /* id: the token by which a later connection can go on */
    DIALECT_RESUMED,        /* id: the same; ok: the answer that was under way goes on */
    DIALECT_REFUSED,        /* reason: a message that was not even read, such as one above the rate limit */
    /* Of its room, each to every member. */
    DIALECT_ROOM_MESSAGE, /* message_id, text, data: the chain; connection: who asked; when: asked */
    DIALECT_BROADCAST     /* data: any JSON; when: sent */
};

/* Reasons for FAILED and REFUSED that a dialect may say in its own words. */
#define DIALECT_TOKEN_NEEDED   "a token is needed"
#define DIALECT_TOKEN_UNKNOWN  "this token is not known"
#define DIALECT_TOKEN_ANOTHERS "this is another user's"

/* Spans are never NULL; texts are valid UTF-8, and JSON is valid JSON of our own making, but for a tool's result. */
struct dialect_occasion {
    enum dialect_occasion_kind kind;
    double now; /* Unix seconds */
    /* What was asked; NULL for occasions of the connection and of its room. For a member that follows an answer which
     * it has not asked for: an empty one with only kind ASK and the dialect's `room_text`. */
    const struct dialect_request *request;
    struct dialect_span text; /* the new piece */
    struct dialect_span all;  /* the answer from its beginning to here */
    struct dialect_span tool; /* a tool's name */
    struct dialect_span call; /* its call's id */
    struct dialect_span data; /* JSON; a text in TOOL_FINISHED without `ok`; empty where there is none */
    struct dialect_span reason;
    struct dialect_span apology; /* FAILED, CANCELLED: what a client may be told instead of the reason, as the
                                  * pipelines' configuration has it; empty: the dialect's own words */
    const char *vendor;          /* "" where not known */
    const char *model;
    bool ok;
    const char *id;         /* a contact request's, or a session's token */
    const char *connection; /* a client's id */
    uint64_t message_id;    /* in a room that counts its messages; 0: none, or not known yet */
    double when;            /* Unix seconds; 0: not known */
    const struct dialect_counts *counts;
};

/* ---- The dialect */

struct dialect {
    const char *name; /* in messages, metrics and logs */
    /* Answers can't be told apart: they run one after the other, in the order asked. */
    bool serial;
    bool resumes;                /* answers belong to the connection that asked: a later one can go on with it */
    bool for_contacts;           /* its clients are contacts, who may have a persona and an apology of their own */
    bool times_out;              /* closed after WS_CONNECTION_TIMEOUT of silence */
    int64_t ping_interval_s;     /* 0: WS_HEARTBEAT_INTERVAL */
    enum dialect_text room_text; /* how members of a room get an answer that another connection asked for */

    /* Whether this protocol is spoken at `path`. No two dialects serve the same. */
    bool (*serves)(const char *path);
    /* Whose own `path` is, which is served; lent like it. Where authentication is on, only that user may be there, and
     * may give the credential with a question, too; only then the client becomes a member of its room. NULL: paths are
     * nobody's own, and the credential is given with the connection. */
    const char *(*user_of)(const char *path);
    /* A client has connected at `path`, which is served. Takes name, variant and room from it, and greets, or asks for
     * JOIN or CLOSE. */
    void (*open)(struct dialect_client *client, const struct dialect_context *context, const char *path,
                 struct dialect_request *request, struct frames *out);
    /* A message of a client: text is valid UTF-8 of any content. What is wrong with it is said in `out`. */
    void (*decode)(const struct dialect_client *client, const struct dialect_context *context, const char *bytes,
                   size_t len, bool binary, struct dialect_request *request, struct frames *out);
    void (*encode)(const struct dialect_client *client, const struct dialect_occasion *occasion, struct frames *out);
};

extern const struct dialect *const dialects[];
extern const size_t dialect_count;

/* The dialect spoken at `path`; NULL: none. */
const struct dialect *dialect_at(const char *path);

extern const struct dialect dialect_agent_engine, dialect_yychat, dialect_contact, dialect_langbot, dialect_minimal;

#endif
