#include "id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void makes_uuids_of_version_4(void **state)
{
    (void)state;
    char last[ID_SIZE] = "";
    for (int i = 0; i < 1000; i++) {
        char id[ID_SIZE];
        id_uuid(id);
        assert_int_equal(strlen(id), 36);
        assert_int_equal(strspn(id, "0123456789abcdef-"), 36);
        assert_true(id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-');
        assert_int_equal(id[14], '4');
        assert_non_null(strchr("89ab", id[19]));
        assert_string_not_equal(id, last);
        memcpy(last, id, sizeof id);
    }
}

static void makes_short_ids(void **state)
{
    (void)state;
    char one[ID_SHORT_SIZE], two[ID_SHORT_SIZE];
    id_short(one);
    id_short(two);
    assert_int_equal(strlen(one), 12);
    assert_int_equal(strspn(one, "0123456789abcdef"), 12);
    assert_string_not_equal(one, two);
}

static void knows_tokens(void **state)
{
    (void)state;
    static const char longest[] = "0123456789abcdefABCDEF-_0123456789abcdefABCDEF-_0123456789abcdef";
    assert_true(id_is_token("a", 1));
    assert_true(id_is_token(longest, 64));
    assert_false(id_is_token("0123456789abcdefABCDEF-_0123456789abcdefABCDEF-_0123456789abcdefx", 65));
    assert_false(id_is_token("", 0));
    static const char *const bad[] = {".", "a.b", "*", ">", " ", "a b", "a:", "会", "a\n", "\x7f", "$"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(id_is_token(bad[i], strlen(bad[i])));
    assert_false(id_is_token("a\0b", 3));
}

/* Digests as `openssl dgst -sha256 -binary | basenc --base64url` tells them. */
static void hashes_to_a_token(void **state)
{
    (void)state;
    char hash[ID_HASH_SIZE];
    id_hash("", 0, hash);
    assert_string_equal(hash, "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU");
    id_hash(NULL, 0, hash);
    assert_string_equal(hash, "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU");
    id_hash("abc", 3, hash);
    assert_string_equal(hash, "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
    assert_true(id_is_token(hash, strlen(hash)));
    char other[ID_HASH_SIZE];
    id_hash("abc\0", 4, other);
    assert_string_not_equal(hash, other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_uuids_of_version_4),
        cmocka_unit_test(makes_short_ids),
        cmocka_unit_test(knows_tokens),
        cmocka_unit_test(hashes_to_a_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
