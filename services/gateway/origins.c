#include "origins.h"

#include <string.h>
#include <strings.h>

/* A piece of a text. */
struct span {
    const char *text;
    size_t len;
};

/* An origin, or an entry. */
struct origin {
    struct span scheme; /* empty: none is given */
    struct span host;   /* with the brackets of an IPv6 address */
    struct span port;   /* empty: none is given, or it is the scheme's own */
};

static bool is(struct span span, const char *text)
{
    return span.len == strlen(text) && strncasecmp(span.text, text, span.len) == 0;
}

static bool equal(struct span a, struct span b)
{
    return a.len == b.len && strncasecmp(a.text, b.text, a.len) == 0;
}

static struct span span_of(const char *text)
{
    return (struct span){text, strlen(text)};
}

/* Takes the next entry off the list. False: there is none. */
static bool next_entry(const char **list, struct span *entry)
{
    *list += strspn(*list, ", ");
    *entry = (struct span){*list, strcspn(*list, ", ")};
    *list += entry->len;
    return entry->len > 0;
}

static struct span after(struct span span, size_t len)
{
    return (struct span){span.text + len, span.len - len};
}

/* How many bytes stand before the first of `ends`, or the end. */
static size_t length_before(struct span span, const char *ends)
{
    size_t at = 0;
    while (at < span.len && !strchr(ends, span.text[at]))
        at++;
    return at;
}

/* Of the host that the text begins with; 0: it begins with none. */
static size_t host_length(struct span span)
{
    if (span.len == 0 || span.text[0] != '[')
        return length_before(span, ":/?#@[]*");
    size_t len = length_before(span, "]/?#@*");
    return len < span.len && span.text[len] == ']' ? len + 1 : 0;
}

static bool is_number(struct span span)
{
    return span.len > 0 && strspn(span.text, "0123456789") >= span.len;
}

static bool is_own_port(struct span scheme, struct span port)
{
    return (is(scheme, "http") && is(port, "80")) || (is(scheme, "https") && is(port, "443"));
}

/* [scheme://]host[:port], and nothing else; `null` is no host. */
static bool split(struct span text, struct origin *origin)
{
    *origin = (struct origin){{"", 0}, {"", 0}, {"", 0}};
    if (is(text, "null"))
        return false;
    size_t scheme = length_before(text, ":");
    if (scheme > 0 && text.len - scheme > 3 && strncmp(text.text + scheme, "://", 3) == 0) {
        origin->scheme = (struct span){text.text, scheme};
        text = after(text, scheme + 3);
    }
    origin->host = (struct span){text.text, host_length(text)};
    text = after(text, origin->host.len);
    if (text.len > 0 && (text.text[0] != ':' || !is_number(after(text, 1))))
        return false;
    if (text.len > 0 && !is_own_port(origin->scheme, after(text, 1)))
        origin->port = after(text, 1);
    return origin->host.len > 0;
}

static bool is_valid(struct span entry)
{
    struct origin origin;
    if (is(entry, "*") || is(entry, "null"))
        return true;
    return split(entry, &origin) && (origin.scheme.len > 0 || origin.port.len == 0);
}

bool origins_valid(const char *list, const char **entry, size_t *len)
{
    struct span next = {list, 0};
    size_t count = 0;
    while (next_entry(&list, &next) && is_valid(next))
        count++;
    *entry = next.text;
    *len = next.len;
    return count > 0 && next.len == 0;
}

static bool admits(const struct origin *entry, const struct origin *origin)
{
    if (!equal(entry->host, origin->host))
        return false;
    return entry->scheme.len == 0 || (equal(entry->scheme, origin->scheme) && equal(entry->port, origin->port));
}

bool origins_list(const char *list, const char *origin)
{
    struct origin given, listed;
    bool is_null = strcmp(origin, "null") == 0;
    bool is_page = split(span_of(origin), &given) && given.scheme.len > 0;
    for (struct span entry; next_entry(&list, &entry);) {
        if (is(entry, "*") || (is_null && is(entry, "null")))
            return true;
        if (is_page && split(entry, &listed) && admits(&listed, &given))
            return true;
    }
    return false;
}

bool origins_list_host(const char *list, const char *header)
{
    struct origin given, listed;
    bool is_host = split(span_of(header), &given) && given.scheme.len == 0;
    for (struct span entry; next_entry(&list, &entry);) {
        if (is(entry, "*"))
            return true;
        if (is_host && split(entry, &listed) && equal(listed.host, given.host))
            return true;
    }
    return false;
}
