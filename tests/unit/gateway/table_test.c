#include "chain.h"
#include "table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT 1000

struct thing {
    char name[16];
    struct table_entry entry;
    struct chain link;
};

static void test_many(void **state)
{
    (void)state;
    static struct thing things[COUNT];
    struct table table = {0};
    assert_null(table_find(&table, "nothing"));
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(things[i].name, sizeof things[i].name, "thing-%zu", i);
        table_add(&table, &things[i].entry, things[i].name);
    }
    for (size_t i = 0; i < COUNT; i += 2)
        table_remove(&table, &things[i].entry);
    assert_int_equal(table.count, COUNT / 2);
    for (size_t i = 0; i < COUNT; i++) {
        char name[16];
        snprintf(name, sizeof name, "thing-%zu", i);
        struct thing *found = OWNER_OF(table_find(&table, name), struct thing, entry);
        assert_ptr_equal(found, i % 2 ? &things[i] : NULL);
    }
    table_deinit(&table);
    assert_int_equal(table.count, 0);
}

static void test_chain(void **state)
{
    (void)state;
    struct thing things[3] = {0};
    struct chain *list = NULL;
    for (size_t i = 0; i < 3; i++)
        chain_add(&list, &things[i].link);
    chain_remove(&things[1].link);
    chain_remove(&things[1].link);
    assert_ptr_equal(OWNER_OF(list, struct thing, link), &things[2]);
    assert_ptr_equal(OWNER_OF(list->next, struct thing, link), &things[0]);
    chain_remove(&things[2].link);
    chain_remove(&things[0].link);
    assert_null(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
