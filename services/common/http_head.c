#include "http_head.h"

#include <string.h>
#include <strings.h>

/* What is spread over the request and checked at its end. */
struct head_counts {
    int hosts, lengths, keys, versions;
};

static bool is_token_char(unsigned char c)
{
    return c > ' ' && c < 0x7f && !strchr("\"(),/:;<=>?@[\\]{}", c);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes %XX at `text`. -1 where that is not what stands there. */
static int percent_byte(const char *text)
{
    int high = hex_digit(text[1]);
    int low = high < 0 ? -1 : hex_digit(text[2]);
    return low < 0 ? -1 : high * 16 + low;
}

size_t http_head_find(const char *bytes, size_t len, size_t *scanned)
{
    for (size_t i = *scanned; i < len; i++) {
        if (bytes[i] != '\n')
            continue;
        /* A blank line after bare line feeds ends a head too: one that is refused, rather than waited for. */
        if ((i >= 1 && bytes[i - 1] == '\n') || (i >= 2 && bytes[i - 1] == '\r' && bytes[i - 2] == '\n')) {
            *scanned = i + 1;
            return i + 1;
        }
    }
    *scanned = len;
    return 0;
}

/* Cuts the next line off, ends it with a zero byte and moves `*at` past it. NULL for one not ended by CR LF, or with a
 * CR or a zero byte inside. */
static char *next_line(char **at, const char *end, size_t *len)
{
    char *line = *at;
    char *feed = memchr(line, '\n', (size_t)(end - line));
    if (!feed || feed == line || feed[-1] != '\r')
        return NULL;
    *len = (size_t)(feed - 1 - line);
    if (memchr(line, '\r', *len) || memchr(line, '\0', *len))
        return NULL;
    feed[-1] = '\0';
    *at = feed + 1;
    return line;
}

/* Percent-decodes in place, as far as the zero byte. Control characters are refused, encoded or not. */
static bool decode_path(char *path)
{
    char *to = path;
    for (const char *from = path; *from; from++) {
        int c = (unsigned char)*from;
        if (c == '%') {
            c = percent_byte(from);
            from += 2;
        }
        if (c < ' ' || c == 0x7f)
            return false;
        *to++ = (char)c;
    }
    *to = '\0';
    return true;
}

static int parse_target(struct http_head *head, char *target)
{
    /* The absolute form, which servers must take (RFC 9112, section 3.2.2). */
    if (!strncasecmp(target, "http://", 7)) {
        target = strpbrk(target + 7, "/?");
        if (!target || *target != '/')
            return 400;
    }
    if (*target != '/' || strchr(target, '#'))
        return 400;
    char *query = strchr(target, '?');
    if (query)
        *query++ = '\0';
    head->query = query ? query : "";
    head->path = target;
    return decode_path(target) ? 0 : 400;
}

static int parse_method(struct http_head *head, const char *method)
{
    static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(method, known[i])) {
            head->method = known[i];
            return 0;
        }
    if (!*method)
        return 400;
    for (const char *c = method; *c; c++)
        if (!is_token_char((unsigned char)*c))
            return 400;
    return 501;
}

static int parse_request_line(struct http_head *head, char *line)
{
    char *target = strchr(line, ' ');
    char *version = target ? strchr(target + 1, ' ') : NULL;
    if (!version)
        return 400;
    *target++ = '\0';
    *version++ = '\0';
    if (strncmp(version, "HTTP/", 5) != 0 || strlen(version) != 8 || version[6] != '.')
        return 400;
    if (version[5] != '1' || (version[7] != '0' && version[7] != '1'))
        return 505;
    head->minor = version[7] - '0';
    int status = parse_method(head, line);
    return status ? status : parse_target(head, target);
}

/* Whether `list`, comma-separated, has `token`. */
static bool list_has(const char *list, const char *token)
{
    size_t len = strlen(token);
    while (*list) {
        list += strspn(list, " \t,");
        size_t span = strcspn(list, " \t,");
        if (span == len && !strncasecmp(list, token, len))
            return true;
        list += span;
    }
    return false;
}

static int parse_length(struct http_head *head, const char *value)
{
    size_t digits = strspn(value, "0123456789");
    if (digits == 0 || value[digits])
        return 400;
    value += strspn(value, "0");
    if (strlen(value) > 15)
        return 413;
    for (; *value; value++)
        head->content_length = head->content_length * 10 + (*value - '0');
    return 0;
}

/* What a header means for the connection itself. */
static int notice_field(struct http_head *head, struct head_counts *counts, const struct http_field *field)
{
    if (!strcmp(field->name, "host"))
        return ++counts->hosts > 1 ? 400 : 0;
    if (!strcmp(field->name, "content-length"))
        return ++counts->lengths > 1 ? 400 : parse_length(head, field->value);
    if (!strcmp(field->name, "transfer-encoding"))
        return 411;
    if (!strcmp(field->name, "sec-websocket-key"))
        return ++counts->keys > 1 ? 400 : 0;
    if (!strcmp(field->name, "sec-websocket-version"))
        return ++counts->versions > 1 ? 400 : 0;
    if (!strcmp(field->name, "expect")) {
        head->expect_continue = !strcasecmp(field->value, "100-continue") && head->minor == 1;
        return head->expect_continue ? 0 : 417;
    }
    return 0;
}

static int parse_field(struct http_head *head, char *line, size_t len)
{
    if (head->field_count == HTTP_FIELDS_MAX)
        return 431;
    char *name = line;
    char *c = name;
    for (; is_token_char((unsigned char)*c); c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    if (c == name || *c != ':')
        return 400;
    *c++ = '\0';
    char *value = c + strspn(c, " \t");
    char *end = line + len;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = '\0';
    for (c = value; *c; c++)
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
            return 400;
    head->fields[head->field_count++] = (struct http_field){.name = name, .value = value};
    return 0;
}

static int parse_fields(struct http_head *head, struct head_counts *counts, char *at, const char *end)
{
    for (;;) {
        size_t len;
        char *line = next_line(&at, end, &len);
        if (!line)
            return 400;
        if (len == 0)
            return 0;
        int status = parse_field(head, line, len);
        if (!status)
            status = notice_field(head, counts, &head->fields[head->field_count - 1]);
        if (status)
            return status;
    }
}

/* Whether any of the headers `name` has `token` in its list. */
static bool any_list_has(const struct http_head *head, const char *name, const char *token)
{
    for (size_t i = 0; i < head->field_count; i++)
        if (!strcmp(head->fields[i].name, name) && list_has(head->fields[i].value, token))
            return true;
    return false;
}

int http_head_parse(struct http_head *head, char *bytes, size_t len)
{
    *head = (struct http_head){0};
    struct head_counts counts = {0};
    char *at = bytes;
    size_t line_len;
    char *line = next_line(&at, bytes + len, &line_len);
    if (!line)
        return 400;
    int status = parse_request_line(head, line);
    if (!status)
        status = parse_fields(head, &counts, at, bytes + len);
    if (status)
        return status;
    if (head->minor == 1 && counts.hosts == 0)
        return 400;
    head->keep_alive =
        head->minor == 1 ? !any_list_has(head, "connection", "close") : any_list_has(head, "connection", "keep-alive");
    /* Upgrades to anything else are no business of ours, and may be ignored (RFC 9110, section 7.8). */
    head->websocket =
        head->minor == 1 && any_list_has(head, "connection", "upgrade") && any_list_has(head, "upgrade", "websocket");
    return 0;
}

/* 16 bytes in base64: 22 digits and two signs of equality. */
static bool is_websocket_key(const char *key)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    return strlen(key) == 24 && strspn(key, digits) == 22 && !strcmp(key + 22, "==");
}

int http_head_check_websocket(const struct http_head *head)
{
    const char *version = http_head_field(head, "sec-websocket-version");
    const char *key = http_head_field(head, "sec-websocket-key");
    if (strcmp(head->method, "GET") != 0 || head->content_length > 0)
        return 400;
    if (version && strcmp(version, "13") != 0)
        return 426;
    return version && key && is_websocket_key(key) ? 0 : 400;
}

const char *http_head_field(const struct http_head *head, const char *name)
{
    for (size_t i = 0; i < head->field_count; i++)
        if (!strcmp(head->fields[i].name, name))
            return head->fields[i].value;
    return NULL;
}

/* Appends `len` bytes of a query, decoded. False for bad encoding and for U+0000. */
static bool decode_argument(const char *text, size_t len, struct buf *out)
{
    for (size_t i = 0; i < len; i++) {
        int c = (unsigned char)text[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            c = i + 2 < len ? percent_byte(text + i) : -1;
            i += 2;
        }
        if (c <= 0)
            return false;
        buf_append_char(out, (char)c);
    }
    return true;
}

bool http_head_argument(const struct http_head *head, const char *name, struct buf *out)
{
    size_t name_len = strlen(name);
    const char *at = head->query;
    while (*at) {
        size_t len = strcspn(at, "&");
        size_t key_len = strcspn(at, "=&");
        if (key_len == name_len && !strncmp(at, name, name_len)) {
            size_t skip = key_len < len ? key_len + 1 : key_len;
            buf_reserve(out, len - skip);
            return decode_argument(at + skip, len - skip, out);
        }
        at += len + (at[len] == '&');
    }
    return false;
}

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } table[] = {
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].status == status)
            return table[i].text;
    return "Status";
}
