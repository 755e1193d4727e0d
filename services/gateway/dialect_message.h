/* What dialects have in common: reading a client's message, and the ready frames of the extension ("Beyond the
 * originals" in the protocols). Pure, as they are. */
#ifndef PARLEY_DIALECT_MESSAGE_H
#define PARLEY_DIALECT_MESSAGE_H

#include "dialect.h"

/* A message that is being read, and where what follows from it goes. All lent. */
struct dialect_message {
    const struct dialect_client *client;
    const struct dialect_context *context;
    json_t *object;
    struct dialect_request *request;
    struct frames *out;
};

/* What a dialect does with a message of one type. */
struct dialect_handler {
    const char *type;
    void (*handle)(const struct dialect_message *message);
    bool extension;   /* only for clients that asked for it; to others it does not exist */
    const char *help; /* one line; NULL: none */
};

/* Has it handled by the one for messages of this type. False: there is none. */
bool dialect_handle(const struct dialect_message *message, const struct dialect_handler *handlers, size_t count,
                    struct dialect_span type);
/* The handler of the extension's {"type":"cancel"}. */
void dialect_on_cancel(const struct dialect_message *message);

/* The object that the message is, a new reference; NULL where it is none. */
json_t *dialect_parse(const char *bytes, size_t len, bool binary);

struct dialect_span dialect_span_of(const char *text); /* of a C string */
/* Member `key` where it is a text; data NULL: missing or something else. */
struct dialect_span dialect_get_text(const json_t *object, const char *key);
/* The same for a member that may be left out or null: then `*out` is untouched. False where it is something else. */
bool dialect_take_text(const json_t *object, const char *key, struct dialect_span *out);
bool dialect_take_bool(const json_t *object, const char *key, bool *out);
/* The same for a text that has to go on as a C string; an empty one is none. A name is one by utf8_is_name(), as other
 * services would refuse it if it were not; a secret may hold anything but U+0000. */
bool dialect_take_name(const json_t *object, const char *key, const char **out);
bool dialect_take_secret(const json_t *object, const char *key, const char **out);

/* Makes the request a question, with tools; the text is the object's. */
void dialect_ask(const struct dialect_message *message, struct dialect_span question, enum dialect_text text);
/* The conversation is that of the connection, or of its session, alone. */
void dialect_use_own_conversation(const struct dialect_message *message);

/* A JSON string of `what` followed by a text of any content; a new reference. */
json_t *dialect_sentence(const char *what, struct dialect_span text);

/* The frames of the extension: tool steps, cancelled, noted and sessions. False, and nothing said: for other occasions,
 * and to a client that has not asked for it. */
bool dialect_encode_extension(const struct dialect_client *client, const struct dialect_occasion *occasion,
                              struct frames *out);

#endif
