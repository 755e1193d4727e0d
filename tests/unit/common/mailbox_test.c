#include "mailbox.h"

#include "mem.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define THREADS 4
#define LETTERS 20000 /* from each */

struct note {
    struct letter letter;
    int thread, number;
};

struct reader {
    uv_loop_t loop;
    struct mailbox *mailbox;
    int next[THREADS];
    int total;
    int wanted; /* stops the loop */
};

static void on_letter(void *arg, struct letter *letter)
{
    struct reader *reader = arg;
    struct note *note = (struct note *)letter;
    assert_int_equal(note->number, reader->next[note->thread]);
    reader->next[note->thread]++;
    free(note);
    if (++reader->total == reader->wanted)
        uv_stop(&reader->loop);
}

static void post(struct mailbox *mailbox, int thread, int number)
{
    struct note *note = mem_alloc(sizeof *note);
    note->thread = thread;
    note->number = number;
    mailbox_post(mailbox, &note->letter);
}

struct writer {
    struct mailbox *mailbox;
    int thread;
};

static void *write_letters(void *arg)
{
    struct writer *writer = arg;
    for (int i = 0; i < LETTERS; i++)
        post(writer->mailbox, writer->thread, i);
    return NULL;
}

static void reader_init(struct reader *reader, int wanted)
{
    *reader = (struct reader){.wanted = wanted};
    uv_loop_init(&reader->loop);
    reader->mailbox = mailbox_new(&reader->loop, on_letter, reader);
}

static void reader_deinit(struct reader *reader)
{
    mailbox_free(&reader->mailbox);
    assert_null(reader->mailbox);
    uv_run(&reader->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&reader->loop), 0);
}

static void test_each_threads_order_is_kept(void **state)
{
    (void)state;
    struct reader reader;
    pthread_t threads[THREADS];
    struct writer writers[THREADS];
    reader_init(&reader, THREADS * LETTERS);
    for (int i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){reader.mailbox, i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_letters, &writers[i]), 0);
    }
    uv_run(&reader.loop, UV_RUN_DEFAULT);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(reader.total, THREADS * LETTERS);
    reader_deinit(&reader);
}

static void test_what_is_left_is_handed_over_at_the_end(void **state)
{
    (void)state;
    struct reader reader;
    reader_init(&reader, -1);
    for (int i = 0; i < 1000; i++)
        post(reader.mailbox, 0, i);
    reader_deinit(&reader);
    assert_int_equal(reader.total, 1000);
}

static int total_at_timer;

static void on_timer(uv_timer_t *timer)
{
    const struct reader *reader = timer->data;
    total_at_timer = reader->total;
    uv_close((uv_handle_t *)timer, NULL);
}

/* A flood of letters leaves the loop's other handles their turn. */
static void test_a_flood_does_not_hold_up_the_loop(void **state)
{
    (void)state;
    struct reader reader;
    uv_timer_t timer;
    reader_init(&reader, LETTERS);
    for (int i = 0; i < LETTERS; i++)
        post(reader.mailbox, 0, i);
    uv_timer_init(&reader.loop, &timer);
    timer.data = &reader;
    uv_run(&reader.loop, UV_RUN_NOWAIT);
    uv_timer_start(&timer, on_timer, 0, 0);
    uv_run(&reader.loop, UV_RUN_DEFAULT);
    assert_true(total_at_timer > 0 && total_at_timer < LETTERS);
    reader_deinit(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_threads_order_is_kept),
        cmocka_unit_test(test_what_is_left_is_handed_over_at_the_end),
        cmocka_unit_test(test_a_flood_does_not_hold_up_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
