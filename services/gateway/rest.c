#include "rest.h"

#include "admission.h"
#include "clock.h"
#include "middleware.h"
#include "rest_call.h"
#include "rest_contact.h"
#include "rest_langbot.h"

#include <string.h>

/* ---- Agent engine and YYChat */

static json_t *describe_failure(const char *message)
{
    return json_pack("{s:s}", "error", message);
}

static void on_statistics(void *arg, const struct stats *stats)
{
    struct rest_call *call = arg;
    rest_call_respond(call, 200,
                      agent_engine_statistics(&stats->counts, stats->list, stats->count, clock_wall_seconds()));
}

static void get_statistics(struct rest_call *call, const struct rest_request *request)
{
    (void)request;
    rest_call_gather(call, &dialect_agent_engine, true, on_statistics);
}

static void on_status(void *arg, const struct stats *stats)
{
    struct rest_call *call = arg;
    rest_call_respond(call, 200, yychat_status(&stats->counts));
}

static void get_status(struct rest_call *call, const struct rest_request *request)
{
    (void)request;
    rest_call_gather(call, &dialect_yychat, false, on_status);
}

static void get_handlers(struct rest_call *call, const struct rest_request *request)
{
    (void)request;
    const char *names[MIDDLEWARE_MAX];
    size_t count = middleware_names(names);
    rest_call_respond(call, 200, yychat_handlers(names, count));
}

/* ---- The table */

static const struct rest_route routes[] = {
    {"GET", "/ws/statistics", true, get_statistics, describe_failure},
    {"GET", "/ws/status", false, get_status, yychat_failure},
    {"GET", "/ws/handlers", false, get_handlers, yychat_failure},
    {"GET", "/api/v1/contacts", true, rest_contact_list, describe_failure},
    {"POST", "/api/v1/contacts/broadcast", true, rest_contact_broadcast, describe_failure},
};

/* RFC 9110, section 15.5.22. */
static void ask_for_upgrade(struct rest_call *call, const struct rest_request *request)
{
    (void)request;
    rest_call_fail(call, 426, "a WebSocket is spoken here");
}

static bool find_web_socket(const char *path, struct rest_route *out)
{
    if (!dialect_at(path))
        return false;
    *out = (struct rest_route){"GET", path, false, ask_for_upgrade, describe_failure};
    return true;
}

static bool find_route(const char *path, struct rest_route *out)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (strcmp(routes[i].path, path) == 0) {
            *out = routes[i];
            return true;
        }
    }
    return rest_contact_find(path, out) || rest_langbot_find(path, out) || find_web_socket(path, out);
}

static bool is_method(const struct rest_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 || (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

void rest_handle(struct gateway *gateway, struct web_exchange *exchange, const struct web_head *head, const char *body,
                 size_t len)
{
    const struct rest_request request = {head, body, len};
    struct rest_route route = {.failure = describe_failure};
    bool found = find_route(head->path, &route);
    struct rest_call *call = rest_call_new(gateway, exchange, head, route.failure);
    struct visit visit = {
        .kind = VISIT_CALL,
        .gateway = gateway,
        .head = head,
        .trace = &call->trace,
        .owner_only = route.owner_only,
    };
    if (!found)
        rest_call_fail(call, 404, "Not found");
    else if (!is_method(&route, head->method))
        rest_call_refuse_method(call, route.method);
    else if (!admission_origin_passes(gateway, head))
        rest_call_fail(call, 403, "this origin is not allowed"); /* a page's, in a browser of somebody who may */
    else if (!middleware_pass(&visit))
        rest_call_fail(call, visit.status, visit.reason);
    else
        route.handle(call, &request);
}
