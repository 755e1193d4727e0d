#include "mailbox.h"

#include "mem.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* After so many letters the loop's other handles get their turn. */
#define LETTERS_A_TURN 512

struct mailbox {
    uv_async_t async;
    pthread_mutex_t lock;
    struct letter *posted; /* under the lock, oldest first */
    struct letter **end;
    struct letter *taken; /* the loop's own: what it has not handled yet */
    mailbox_handler *handler;
    void *arg;
};

static void take_posted(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    mailbox->taken = mailbox->posted;
    mailbox->posted = NULL;
    mailbox->end = &mailbox->posted;
    pthread_mutex_unlock(&mailbox->lock);
}

static void hand_over_first(struct mailbox *mailbox)
{
    struct letter *letter = mailbox->taken;
    mailbox->taken = letter->next;
    mailbox->handler(mailbox->arg, letter);
}

static void on_woken(uv_async_t *async)
{
    struct mailbox *mailbox = async->data;
    for (int count = 0; count < LETTERS_A_TURN; count++) {
        if (!mailbox->taken)
            take_posted(mailbox);
        if (!mailbox->taken)
            return;
        hand_over_first(mailbox);
    }
    uv_async_send(&mailbox->async);
}

struct mailbox *mailbox_new(uv_loop_t *loop, mailbox_handler *handler, void *arg)
{
    struct mailbox *mailbox = mem_alloc(sizeof *mailbox);
    pthread_mutex_init(&mailbox->lock, NULL);
    mailbox->end = &mailbox->posted;
    mailbox->handler = handler;
    mailbox->arg = arg;
    int failed = uv_async_init(loop, &mailbox->async, on_woken);
    assert(!failed);
    (void)failed;
    mailbox->async.data = mailbox;
    return mailbox;
}

void mailbox_post(struct mailbox *mailbox, struct letter *letter)
{
    letter->next = NULL;
    pthread_mutex_lock(&mailbox->lock);
    bool was_empty = !mailbox->posted;
    *mailbox->end = letter;
    mailbox->end = &letter->next;
    pthread_mutex_unlock(&mailbox->lock);
    if (was_empty)
        uv_async_send(&mailbox->async);
}

static void on_closed(uv_handle_t *handle)
{
    struct mailbox *mailbox = handle->data;
    pthread_mutex_destroy(&mailbox->lock);
    free(mailbox);
}

void mailbox_free(struct mailbox **mailbox)
{
    struct mailbox *gone = *mailbox;
    *mailbox = NULL;
    do {
        while (gone->taken)
            hand_over_first(gone);
        take_posted(gone);
    } while (gone->taken);
    uv_close((uv_handle_t *)&gone->async, on_closed);
}
