/* Where foreign threads end: any thread posts, the loop's thread takes all there is, and is woken once a batch. */
#ifndef PARLEY_MAILBOX_H
#define PARLEY_MAILBOX_H

#include <stddef.h>
#include <uv.h>

struct mailbox;

/* What is posted starts with this and belongs to the mailbox from mailbox_post() until the handler is called. */
struct letter {
    struct letter *next;
};

/* Called on the loop's thread, in the order of posting; takes the letter. */
typedef void mailbox_handler(void *arg, struct letter *letter);

/* Must be called on the loop's thread. `arg` is lent until mailbox_free(). */
struct mailbox *mailbox_new(uv_loop_t *loop, mailbox_handler *handler, void *arg);
/* From any thread. */
void mailbox_post(struct mailbox *mailbox, struct letter *letter);
/* On the loop's thread, after the last thread that posts has ended. Letters still in it are handed to the handler now.
 * The loop must run once more afterwards, for the handle to close. */
void mailbox_free(struct mailbox **mailbox);

#endif
