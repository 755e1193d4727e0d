#include "images.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct images images_of(const char *chain)
{
    struct images images;
    images_init(&images, chain, strlen(chain));
    return images;
}

static void assert_only(const char *chain, const char *url)
{
    struct images images = images_of(chain);
    assert_int_equal(images.count, 1);
    assert_string_equal(images.urls[0], url);
    images_deinit(&images);
}

static void assert_none(const char *chain)
{
    struct images images = images_of(chain);
    assert_int_equal(images.count, 0);
    images_deinit(&images);
}

static void takes_addresses(void **state)
{
    (void)state;
    assert_only("[{\"type\":\"Image\",\"url\":\"https://a/b.png\"}]", "https://a/b.png");
    assert_only("[{\"type\":\"Image\",\"url\":\"http://a/b\",\"base64\":\"AAAA\"}]", "http://a/b");
    assert_only("[{\"type\":\"Image\",\"url\":\"\",\"base64\":\"AAAA\"}]", "data:image/png;base64,AAAA");
}

static void takes_pictures_and_tells_their_type(void **state)
{
    (void)state;
    assert_only("[{\"type\":\"Image\",\"base64\":\"data:image/gif;base64,R0lGODlh\"}]",
                "data:image/gif;base64,R0lGODlh");
    assert_only("[{\"type\":\"Image\",\"base64\":\"iVBORw0KGgoAAA==\"}]", "data:image/png;base64,iVBORw0KGgoAAA==");
    assert_only("[{\"type\":\"Image\",\"base64\":\"/9j/AA==\"}]", "data:image/jpeg;base64,/9j/AA==");
    assert_only("[{\"type\":\"Image\",\"base64\":\"R0lGODlh\"}]", "data:image/gif;base64,R0lGODlh");
    assert_only("[{\"type\":\"Image\",\"base64\":\"UklGRg==\"}]", "data:image/webp;base64,UklGRg==");
}

static void leaves_out_what_is_none(void **state)
{
    (void)state;
    assert_none("");
    assert_none("no JSON");
    assert_none("{\"type\":\"Image\",\"url\":\"https://a\"}");
    assert_none("[5,null,[],{\"type\":5},{\"type\":\"Image\"},{\"type\":\"Voice\",\"url\":\"https://a\"}]");
    assert_none("[{\"type\":\"Image\",\"url\":\"file:///etc/passwd\"},{\"type\":\"Image\",\"base64\":\"<>\"}]");
    assert_none("[{\"type\":\"Image\",\"path\":\"/etc/passwd\"},{\"type\":\"Image\",\"base64\":\"\"}]");
}

static void takes_no_more_than_its_bound(void **state)
{
    char chain[4096] = "[";
    (void)state;
    for (int i = 0; i < IMAGES_MAX + 5; i++)
        strcat(chain, "{\"type\":\"Image\",\"url\":\"https://a\"},");
    strcat(chain, "0]");
    struct images images = images_of(chain);
    assert_int_equal(images.count, IMAGES_MAX);
    images_deinit(&images);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_addresses),
        cmocka_unit_test(takes_pictures_and_tells_their_type),
        cmocka_unit_test(leaves_out_what_is_none),
        cmocka_unit_test(takes_no_more_than_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
