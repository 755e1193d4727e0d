#include "authentication.h"
#include "tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* printf %s secret | sha256sum */
#define SECRET "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
#define EMPTY  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
/* printf %s other | sha256sum, in upper case */
#define OTHER "D9298A10D1B0735837DC4BD85DAC641B0F3CEF27A47E5D53A54F2F3F5B2FCFFA"

static int parse(const char *text, struct tokens **out, char *reason, size_t size)
{
    return tokens_parse(text, strlen(text), out, reason, size);
}

static void test_who_a_token_is(void **state)
{
    (void)state;
    struct tokens *tokens = NULL;
    struct identity identity = {0};
    char reason[256];
    assert_int_equal(parse("{\"_comment\":1,\"tokens\":[{\"sha256\":\"" SECRET "\",\"user\":\"ada\","
                           "\"roles\":[\"guest\",\"owner\"]},{\"sha256\":\"" OTHER "\",\"user\":\"\xe4\xbc\x9a\"}]}",
                           &tokens, reason, sizeof reason),
                     ERR_NONE);
    assert_int_equal(tokens_count(tokens), 2);
    assert_true(tokens_find(tokens, "secret", 6, &identity));
    assert_string_equal(identity.user, "ada");
    assert_true(identity.owner);
    assert_true(tokens_find(tokens, "other", 5, &identity));
    assert_string_equal(identity.user, "\xe4\xbc\x9a");
    assert_false(identity.owner);
    assert_false(tokens_find(tokens, "secre", 5, &identity));
    assert_false(tokens_find(tokens, "secret ", 7, &identity));
    assert_false(tokens_find(tokens, "", 0, &identity));
    assert_false(tokens_find(tokens, SECRET, 64, &identity));
    tokens_free(&tokens);
    assert_null(tokens);
}

static void test_no_tokens_let_nobody_in(void **state)
{
    (void)state;
    struct tokens *tokens = NULL;
    struct identity identity;
    assert_int_equal(parse("{\"tokens\":[]}", &tokens, NULL, 0), ERR_NONE);
    assert_false(tokens_find(tokens, "secret", 6, &identity));
    tokens_free(&tokens);
}

static void test_what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"", NULL},
        {"{", NULL},
        {"[]", "list"},
        {"{}", "list"},
        {"{\"tokens\":{}}", "list"},
        {"{\"tokens\":[],\"more\":1}", "nothing else"},
        {"{\"tokens\":[1]}", "tokens[0] must be an object"},
        {"{\"tokens\":[{\"sha256\":\"" SECRET "\",\"user\":\"a\"},{}]}", "tokens[1].sha256"},
        {"{\"tokens\":[{\"sha256\":\"secret\",\"user\":\"a\"}]}", "tokens[0].sha256"},
        {"{\"tokens\":[{\"sha256\":\"" SECRET "\"}]}", "tokens[0].user"},
        {"{\"tokens\":[{\"sha256\":\"" SECRET "\",\"user\":\"\"}]}", "tokens[0].user"},
        {"{\"tokens\":[{\"sha256\":\"" SECRET "\",\"user\":\"a\\u0000b\"}]}", "tokens[0].user"},
        {"{\"tokens\":[{\"sha256\":\"" SECRET "\",\"user\":\"a\\u0085b\"}]}", "tokens[0].user"},
        {"{\"tokens\":[{\"sha256\":\"" SECRET "\",\"user\":\"a\",\"roles\":\"owner\"}]}", "tokens[0].roles"},
        {"{\"tokens\":[{\"sha256\":\"" SECRET "\",\"user\":\"a\",\"roles\":[1]}]}", "tokens[0].roles"},
        {"{\"tokens\":[{\"sha256\":\"" SECRET "\",\"user\":\"a\",\"role\":[]}]}", "tokens[0] has a member"},
        {"{\"tokens\":[{\"sha256\":\"" SECRET "\",\"user\":\"a\"},{\"sha256\":\"" SECRET "\",\"user\":\"b\"}]}",
         "tokens[1].sha256 is that of tokens[0], too"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tokens *tokens = NULL;
        char reason[256] = "";
        assert_int_equal(parse(cases[i].text, &tokens, reason, sizeof reason), ERR_INVALID);
        assert_null(tokens);
        if (reason[0] == '\0' || (cases[i].reason && !strstr(reason, cases[i].reason)))
            fail_msg("case %zu: %s", i, reason);
    }
}

static void test_files(void **state)
{
    (void)state;
    char path[] = "/tmp/parley-tokens-XXXXXX", reason[256] = "";
    struct tokens *tokens = NULL;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char text[] = "{\"tokens\":[{\"sha256\":\"" EMPTY "\",\"user\":\"a\"}]}";
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    assert_int_equal(tokens_load(path, &tokens, reason, sizeof reason), ERR_NONE);
    assert_int_equal(tokens_count(tokens), 1);
    tokens_free(&tokens);
    assert_int_equal(ftruncate(fd, TOKENS_FILE_MAX_BYTES + 1), 0);
    assert_int_equal(tokens_load(path, &tokens, reason, sizeof reason), ERR_TOO_LARGE);
    close(fd);
    unlink(path);
    assert_int_equal(tokens_load(path, &tokens, reason, sizeof reason), ERR_SYSTEM);
    assert_true(strlen(reason) > 0);
}

static void test_bearer(void **state)
{
    (void)state;
    static const struct {
        const char *value, *token;
    } cases[] = {
        {"Bearer abc", "abc"},
        {"bearer  abc", "abc"},
        {"BEARER a b", "a b"},
        {"Bearer ", ""},
        {"Bearerabc", NULL},
        {"Basic abc", NULL},
        {"", NULL},
        {NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *token = NULL;
        bool is_bearer = authentication_read_bearer(cases[i].value, &token);
        assert_int_equal(is_bearer, cases[i].token != NULL);
        if (is_bearer)
            assert_string_equal(token, cases[i].token);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_a_token_is),
        cmocka_unit_test(test_no_tokens_let_nobody_in),
        cmocka_unit_test(test_what_is_wrong_is_named),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_bearer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
