#include "store_reply.h"

#include "json.h"

#include <limits.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

static const struct {
    int code, err;
} codes[] = {
    {10023, ERR_FULL},      /* insufficient resources */
    {10028, ERR_FULL},      /* memory */
    {10047, ERR_FULL},      /* storage */
    {10077, ERR_FULL},      /* the stream: maximum bytes or messages exceeded */
    {10054, ERR_TOO_LARGE}, /* more than the stream's messages may hold */
    {10071, ERR_CONFLICT},  /* wrong last sequence */
    {10164, ERR_CONFLICT},  /* the same, of newer brokers */
    {10037, ERR_NOT_FOUND}, /* no message */
    {10059, ERR_NOT_FOUND}, /* no stream */
};

static int map_error(const json_t *error, int *code)
{
    int err_code = (int)json_get_int(error, "err_code", 0);
    if (code)
        *code = err_code;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (codes[i].code == err_code)
            return codes[i].err;
    }
    return json_get_int(error, "code", 0) == 404 ? ERR_NOT_FOUND : ERR_REFUSED;
}

/* The reply as an object, which is the caller's, if it tells of no error. */
static int parse(const char *text, size_t len, int *code, json_t **out)
{
    json_t *object;
    if (json_parse(text, len, NULL, 0, &object) || !json_is_object(object))
        return ERR_REFUSED;
    const json_t *error = json_object_get(object, "error");
    if (error) {
        int err = map_error(error, code);
        json_decref(object);
        return err;
    }
    *out = object;
    return ERR_NONE;
}

int store_reply_error(int err, const struct bus_message *reply, int *code)
{
    json_t *object;
    if (!err)
        err = parse(reply->data, reply->len, code, &object);
    if (!err)
        json_decref(object);
    return err;
}

int store_reply_acknowledgement(int err, const struct bus_message *reply, struct store_acknowledgement *out)
{
    json_t *object;
    if (!err)
        err = parse(reply->data, reply->len, NULL, &object);
    if (err)
        return err;
    int64_t sequence = json_get_int(object, "seq", 0);
    if (sequence > 0)
        *out = (struct store_acknowledgement){.sequence = (uint64_t)sequence,
                                              .duplicate = json_get_bool(object, "duplicate", false)};
    json_decref(object);
    return sequence > 0 ? ERR_NONE : ERR_REFUSED;
}

/* Appends what the base64 (RFC 4648, section 4) stands for. */
static int decode_base64(const char *text, size_t len, struct buf *out)
{
    if (len > INT_MAX || len % 4 != 0)
        return ERR_REFUSED;
    buf_reserve(out, len / 4 * 3);
    if (len == 0)
        return ERR_NONE;
    int decoded = EVP_DecodeBlock((unsigned char *)out->data + out->len, (const unsigned char *)text, (int)len);
    size_t padding = (size_t)(text[len - 1] == '=') + (size_t)(text[len - 2] == '=');
    if (decoded < 0 || (size_t)decoded != len / 4 * 3)
        return ERR_REFUSED;
    out->len += (size_t)decoded - padding;
    out->data[out->len] = '\0';
    return ERR_NONE;
}

/* Whether the headers (RFC 9110's form, base64) mark the value as deleted (ADR-8). */
static bool marks_deletion(const char *base64, size_t len)
{
    struct buf headers = {0};
    bool deleted = false;
    if (decode_base64(base64, len, &headers) == ERR_NONE) {
        const char *operation = strcasestr(headers.data, "\nKV-Operation:");
        if (operation) {
            operation = strchr(operation, ':') + 1;
            operation += strspn(operation, " ");
            deleted = strncmp(operation, "DEL", 3) == 0 || strncmp(operation, "PURGE", 5) == 0;
        }
    }
    buf_deinit(&headers);
    return deleted;
}

/* A value of several megabytes need not go through the JSON parser: its base64 is cut out before, since within a JSON
 * string these bytes could not stand (its quotes would be escaped), and base64 has no quotes. `rest` becomes the reply
 * with an empty value. */
static bool cut_data(const struct bus_message *reply, struct buf *rest, const char **data, size_t *data_len)
{
    static const char key[] = "\"data\":\"";
    const char *text = reply->data;
    const char *end = text + reply->len;
    const char *found = memmem(text, reply->len, key, strlen(key));
    if (!found)
        return false;
    const char *begin = found + strlen(key);
    const char *quote = memchr(begin, '"', (size_t)(end - begin));
    if (!quote)
        return false;
    buf_append(rest, text, (size_t)(begin - text));
    buf_append(rest, quote, (size_t)(end - quote));
    *data = begin;
    *data_len = (size_t)(quote - begin);
    return true;
}

static int read_message(const json_t *object, const char *data, size_t data_len, struct store_value *out)
{
    const json_t *message = json_object_get(object, "message");
    int64_t sequence = json_get_int(message, "seq", 0);
    size_t headers_len = 0;
    const char *headers = json_get_text(message, "hdrs", &headers_len);
    if (sequence < 1)
        return ERR_REFUSED;
    if (headers && marks_deletion(headers, headers_len))
        return ERR_NOT_FOUND;
    struct buf bytes = {0};
    if (decode_base64(data, data_len, &bytes) != ERR_NONE) {
        buf_deinit(&bytes);
        return ERR_REFUSED;
    }
    *out = (struct store_value){.bytes = bytes, .sequence = (uint64_t)sequence};
    return ERR_NONE;
}

int store_reply_value(int err, const struct bus_message *reply, struct store_value *out)
{
    if (err)
        return err;
    struct buf rest = {0};
    const char *data = "";
    size_t data_len = 0;
    json_t *object;
    bool cut = cut_data(reply, &rest, &data, &data_len); /* none: an error, or an empty value */
    err = cut ? parse(rest.data, rest.len, NULL, &object) : parse(reply->data, reply->len, NULL, &object);
    if (!err) {
        err = read_message(object, data, data_len, out);
        json_decref(object);
    }
    buf_deinit(&rest);
    return err;
}

int store_reply_state(int err, const struct bus_message *reply, struct store_state *out)
{
    json_t *object;
    if (!err)
        err = parse(reply->data, reply->len, NULL, &object);
    if (err)
        return err;
    const json_t *state = json_object_get(object, "state");
    int64_t first = json_get_int(state, "first_seq", -1), last = json_get_int(state, "last_seq", -1),
            bytes = json_get_int(state, "bytes", -1);
    bool complete = first >= 0 && last >= 0 && bytes >= 0;
    if (complete)
        *out = (struct store_state){.first = (uint64_t)first,
                                    .last = (uint64_t)last,
                                    .bytes = bytes,
                                    .max_bytes = json_get_int(json_object_get(object, "config"), "max_bytes", -1)};
    json_decref(object);
    return complete ? ERR_NONE : ERR_REFUSED;
}

int store_reply_pending(int err, const struct bus_message *reply, uint64_t *out)
{
    json_t *object;
    if (!err)
        err = parse(reply->data, reply->len, NULL, &object);
    if (err)
        return err;
    int64_t pending = json_get_int(object, "num_pending", -1);
    if (pending >= 0)
        *out = (uint64_t)pending;
    json_decref(object);
    return pending >= 0 ? ERR_NONE : ERR_REFUSED;
}
