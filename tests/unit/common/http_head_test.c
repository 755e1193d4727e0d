#include "http_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Parses a copy that has no byte to spare, so that a sanitizer sees every step outside of it. */
struct parsed {
    struct http_head head;
    char *bytes;
    int status;
};

static struct parsed parse_bytes(const char *text, size_t len)
{
    struct parsed parsed = {.bytes = malloc(len)};
    memcpy(parsed.bytes, text, len);
    parsed.status = http_head_parse(&parsed.head, parsed.bytes, len);
    return parsed;
}

static int status_of(const char *text)
{
    struct parsed parsed = parse_bytes(text, strlen(text));
    free(parsed.bytes);
    return parsed.status;
}

static void finds_the_end_however_it_comes(void **state)
{
    (void)state;
    static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\nrest";
    size_t head = sizeof text - 1 - 4;
    size_t scanned = 0;
    for (size_t len = 0; len < head; len++)
        assert_int_equal(http_head_find(text, len, &scanned), 0);
    assert_int_equal(http_head_find(text, sizeof text - 1, &scanned), head);
    scanned = 0;
    assert_int_equal(http_head_find(text, sizeof text - 1, &scanned), head);
    scanned = 0;
    assert_int_equal(http_head_find("a\n\nb", 4, &scanned), 3);
}

static void takes_a_request_apart(void **state)
{
    (void)state;
    static const char text[] = "POST /a%20b/%C3%A4?x=1&y=%2B+z HTTP/1.1\r\nHost:x\r\nX-Empty:\r\nX:\t one two \t\r\n"
                               "content-LENGTH: 0012\r\nCookie: a\r\nCookie: b\r\n\r\n";
    struct parsed parsed = parse_bytes(text, sizeof text - 1);
    struct http_head *head = &parsed.head;
    assert_int_equal(parsed.status, 0);
    assert_string_equal(head->method, "POST");
    assert_string_equal(head->path, "/a b/\xc3\xa4");
    assert_string_equal(head->query, "x=1&y=%2B+z");
    assert_string_equal(http_head_field(head, "x"), "one two");
    assert_string_equal(http_head_field(head, "x-empty"), "");
    assert_string_equal(http_head_field(head, "cookie"), "a");
    assert_null(http_head_field(head, "origin"));
    assert_int_equal(head->content_length, 12);
    assert_int_equal(head->minor, 1);
    assert_true(head->keep_alive);
    assert_false(head->websocket);
    free(parsed.bytes);
}

static void decodes_arguments(void **state)
{
    (void)state;
    static const char text[] = "GET /?a=1&bb=%41+%2b&c&d=&e=%0&f=%00&g=%zz&a=2&=h&i=%C3%A4 HTTP/1.0\r\n\r\n";
    static const char *const cases[][2] = {
        {"a", "1"},  {"bb", "A +"}, {"c", ""},   {"d", ""},   {"e", NULL},
        {"f", NULL}, {"g", NULL},   {"h", NULL}, {"b", NULL}, {"i", "\xc3\xa4"},
    };
    struct parsed parsed = parse_bytes(text, sizeof text - 1);
    assert_int_equal(parsed.status, 0);
    assert_false(parsed.head.keep_alive);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf value = {0};
        bool found = http_head_argument(&parsed.head, cases[i][0], &value);
        assert_int_equal(found, cases[i][1] != NULL);
        if (found)
            assert_string_equal(value.data, cases[i][1]);
        buf_deinit(&value);
    }
    free(parsed.bytes);
}

static void refuses_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *text;
    } cases[] = {
        {400, "\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n\r\n"},
        {400, "GET / HTTP/1.1 \r\nHost: x\r\n\r\n"},
        {400, "GET / HTTP/1.1\nHost: x\r\n\r\n"},
        {400, "GET /%0 HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /% HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /%7f HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET * HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET http://x?y HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: x\r\n Folded: y\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: x\r\nA\x80: y\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1 \r\nContent-Length: 1\r\n\r\n"},
        {411, "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n"},
        {413, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000000\r\n\r\n"},
        {501, "BREW / HTTP/1.1\r\nHost: x\r\n\r\n"},
        {505, "GET / HTTP/1.2\r\nHost: x\r\n\r\n"},
        {505, "GET / HTTP/3.0\r\nHost: x\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(status_of(cases[i].text), cases[i].status);
    struct parsed parsed = parse_bytes("GET / HTTP/1.1\r\nHost: x\0y\r\n\r\n", 29);
    assert_int_equal(parsed.status, 400);
    free(parsed.bytes);
}

static void survives_every_cut_and_every_byte(void **state)
{
    (void)state;
    static const char text[] =
        "GET /a%20b?c=%41 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    for (size_t len = 0; len < sizeof text - 1; len++) {
        struct parsed parsed = parse_bytes(text, len);
        assert_int_not_equal(parsed.status, 0);
        free(parsed.bytes);
    }
    for (size_t i = 0; i < sizeof text - 1; i++)
        for (int c = 0; c < 256; c++) {
            char changed[sizeof text];
            memcpy(changed, text, sizeof text);
            changed[i] = (char)c;
            struct parsed parsed = parse_bytes(changed, sizeof text - 1);
            if (!parsed.status)
                assert_int_equal(parsed.head.path[0], '/');
            free(parsed.bytes);
        }
}

static int websocket_status(const char *fields)
{
    char text[512];
    snprintf(text, sizeof text,
             "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n%s\r\n", fields);
    struct parsed parsed = parse_bytes(text, strlen(text));
    int status = parsed.status;
    if (!status) {
        assert_true(parsed.head.websocket);
        status = http_head_check_websocket(&parsed.head);
    }
    free(parsed.bytes);
    return status;
}

static void checks_the_websocket_handshake(void **state)
{
    (void)state;
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    assert_int_equal(websocket_status(KEY "Sec-WebSocket-Version: 13\r\n"), 0);
    assert_int_equal(websocket_status(KEY "Sec-WebSocket-Version: 7\r\n"), 426);
    assert_int_equal(websocket_status(KEY), 400);
    assert_int_equal(websocket_status("Sec-WebSocket-Version: 13\r\n"), 400);
    assert_int_equal(websocket_status(KEY KEY "Sec-WebSocket-Version: 13\r\n"), 400);
    assert_int_equal(websocket_status("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\nSec-WebSocket-Version: 13\r\n"),
                     400);
    assert_int_equal(websocket_status(KEY "Sec-WebSocket-Version: 13\r\nContent-Length: 1\r\n"), 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_end_however_it_comes),
        cmocka_unit_test(takes_a_request_apart),
        cmocka_unit_test(decodes_arguments),
        cmocka_unit_test(refuses_what_is_wrong),
        cmocka_unit_test(survives_every_cut_and_every_byte),
        cmocka_unit_test(checks_the_websocket_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
