#include "contact_request.h"

#include "bus.h"
#include "command.pb-c.h"
#include "log.h"
#include "mem.h"
#include "subjects.h"
#include "uplink.h"

#include <stdlib.h>
#include <string.h>

struct contact_request {
    struct chain link; /* of the connection */
    struct connection *connection;
    char id[ID_SIZE];
    struct trace trace;
    struct bus_request *waiting;
};

static void tell_failure(struct connection *connection, const void *reason, size_t len)
{
    connection_tell_reason(connection, DIALECT_CONTACT_FAILED, NULL, reason, len);
}

static void on_stored(void *arg, int err, const struct bus_message *reply)
{
    struct contact_request *request = arg;
    struct connection *connection = request->connection;
    struct gateway *gateway = connection->gateway;
    Parley__ContactStored *stored = NULL;
    chain_remove(&request->link);
    if (!err)
        err = wire_unpack(gateway->arena, &parley__contact_stored__descriptor, reply->data, reply->len, &stored);
    if (err) {
        log_warning("a contact request may not have been stored", LOG_TEXT("connection", connection->client.id),
                    LOG_TEXT("request", request->id), LOG_TRACE(&request->trace), LOG_ERR(err));
        tell_failure(connection, GATEWAY_UNAVAILABLE, strlen(GATEWAY_UNAVAILABLE));
    } else if (stored->failure.len > 0) {
        tell_failure(connection, stored->failure.data, stored->failure.len);
    } else {
        struct dialect_occasion occasion = connection_occasion(DIALECT_CONTACT_STORED);
        occasion.id = request->id;
        connection_tell(connection, &occasion);
    }
    free(request);
    gateway_check_drained(gateway);
}

static int send_request(struct contact_request *request, const struct dialect_request *asked)
{
    struct gateway *gateway = request->connection->gateway;
    struct buf packed = {0};
    uplink_pack_contact(request->connection, request->id, asked, &packed);
    log_debug("contact request sent", LOG_TEXT("connection", request->connection->client.id),
              LOG_TEXT("request", request->id), LOG_TRACE(&request->trace));
    return gateway_request(gateway, SUBJECT_COMMAND_CONTACT, &request->trace, &packed,
                           gateway->settings->command_timeout_ms, on_stored, request, &request->waiting);
}

void contact_request_start(struct connection *connection, const char *id, const struct dialect_request *request)
{
    if (chain_count(connection->contacts) >= (size_t)connection->gateway->settings->max_questions) {
        static const char reason[] = "too many requests are waiting on this connection";
        tell_failure(connection, reason, sizeof reason - 1);
        return;
    }
    struct contact_request *contact = mem_alloc(sizeof *contact);
    contact->connection = connection;
    memcpy(contact->id, id, sizeof contact->id);
    contact->trace = connection_trace(connection);
    int err = send_request(contact, request);
    if (err) {
        const char *reason = err == ERR_TOO_LARGE ? "the message is too large" : GATEWAY_UNAVAILABLE;
        tell_failure(connection, reason, strlen(reason));
        free(contact);
        return;
    }
    chain_add(&connection->contacts, &contact->link);
}

void contact_request_stop_all(struct connection *connection)
{
    while (connection->contacts) {
        struct contact_request *request = OWNER_OF(connection->contacts, struct contact_request, link);
        chain_remove(&request->link);
        bus_request_cancel(&request->waiting);
        free(request);
    }
}
