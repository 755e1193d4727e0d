/* The images of a question, as a model provider takes them: addresses, or the picture itself as a data: URL (RFC 2397).
 * Pure. */
#ifndef PARLEY_IMAGES_H
#define PARLEY_IMAGES_H

#include <stddef.h>

#define IMAGES_MAX 16 /* of one question; more are left out */

struct images {
    char *urls[IMAGES_MAX];
    size_t count;
};

/* `chain` is a question as its protocol has it (Job.chain): a JSON array of components, of which
 * {"type":"Image","url":s?,"base64":s?} are taken. What is none, or can't be read, is left out: the question's text
 * tells of it. Fills `images`. */
void images_init(struct images *images, const void *chain, size_t len);
void images_deinit(struct images *images);

#endif
