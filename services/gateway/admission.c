#include "admission.h"

#include "middleware.h"
#include "origins.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

static bool is_same_host(const char *origin, const char *host)
{
    const char *separator = strstr(origin, "://");
    return separator && host && host[0] && strcasecmp(separator + strlen("://"), host) == 0;
}

/* A host as a Host header has it, without its port and the brackets of an IPv6 address, in `out`. */
static bool copy_host(const char *header, char out[static 64])
{
    bool bracketed = header[0] == '[';
    const char *from = header + bracketed;
    size_t len = strcspn(from, bracketed ? "]" : ":");
    if (len >= 64)
        return false;
    memcpy(out, from, len);
    out[len] = '\0';
    return true;
}

bool admission_host_is_local(const char *header)
{
    char host[64];
    return copy_host(header, host) && (strcasecmp(host, "localhost") == 0 || gateway_host_is_loopback(host));
}

static bool is_address(const char *header)
{
    char host[64];
    unsigned char address[sizeof(struct in6_addr)];
    return copy_host(header, host) &&
           (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1);
}

bool admission_origin_allowed(const char *origin, const char *host, const char *allowed, bool loopback)
{
    if (!origin)
        return true;
    if (allowed)
        return origins_list(allowed, origin);
    if (loopback && host && !admission_host_is_local(host))
        return false;
    return is_same_host(origin, host) || (loopback && strcmp(origin, "null") == 0);
}

bool admission_host_allowed(const char *host, const char *allowed, bool loopback, bool authenticated)
{
    if (!host)
        return true;
    if (!allowed)
        return !loopback || admission_host_is_local(host);
    return authenticated || admission_host_is_local(host) || is_address(host) || origins_list_host(allowed, host);
}

bool admission_origin_passes(const struct gateway *gateway, const struct web_head *head)
{
    const struct gateway_settings *settings = gateway->settings;
    char origin[256] = "";
    const char *value = web_head_header(head, "origin");
    if (value) { /* the next header uses the same memory */
        if (strlen(value) >= sizeof origin)
            return false;
        strcpy(origin, value);
    }
    return admission_origin_allowed(value ? origin : NULL, web_head_header(head, "host"), settings->allowed_origins,
                                    gateway_host_is_loopback(gateway_settings_host(settings)));
}

bool admission_host_passes(const struct gateway *gateway, const struct web_head *head)
{
    const struct gateway_settings *settings = gateway->settings;
    return admission_host_allowed(web_head_header(head, "host"), settings->allowed_origins,
                                  gateway_host_is_loopback(gateway_settings_host(settings)), gateway->tokens);
}

int admission_decide(struct gateway *gateway, const struct web_head *head, const char **reason)
{
    const struct dialect *dialect = dialect_at(head->path);
    if (!dialect) {
        *reason = "no protocol is spoken here";
        return 404;
    }
    if (!admission_origin_passes(gateway, head)) {
        *reason = "this origin is not allowed";
        return 403;
    }
    if (gateway_draining(gateway)) {
        *reason = "shutting down";
        return 503;
    }
    if (gateway->connection_count >= (size_t)gateway->settings->max_connections) {
        *reason = "too many connections";
        return 503;
    }
    struct visit visit = {.kind = VISIT_UPGRADE, .gateway = gateway, .head = head, .dialect = dialect};
    if (!middleware_pass(&visit)) {
        *reason = visit.reason;
        return visit.status;
    }
    return 0;
}
