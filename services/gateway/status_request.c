#include "status_request.h"

#include "mem.h"
#include "stats.h"

#include <stdlib.h>

struct status_request {
    struct connection *connection;
    uint32_t asked;
    struct gather *gather;
};

static void on_gathered(void *arg, const struct stats *stats)
{
    struct status_request *request = arg;
    struct connection *connection = request->connection;
    struct dialect_occasion occasion = connection_occasion(DIALECT_STATUS);
    occasion.counts = &stats->counts;
    connection->status = NULL;
    for (uint32_t i = 0; i < request->asked; i++)
        connection_tell(connection, &occasion);
    free(request);
}

void status_request_start(struct connection *connection)
{
    struct status_request *request = connection->status;
    if (request) {
        request->asked++;
        return;
    }
    request = mem_alloc(sizeof *request);
    request->connection = connection;
    request->asked = 1;
    connection->status = request;
    stats_gather(connection->gateway, connection->dialect, false, on_gathered, request, &request->gather);
}

void status_request_stop(struct connection *connection)
{
    struct status_request *request = connection->status;
    if (!request)
        return;
    connection->status = NULL;
    stats_forget(&request->gather);
    free(request);
}
