/* The pages and what belongs to them: the files of static/ and what the build makes of them, built into the program and
 * served from memory. No request ever touches the file system. */
#ifndef PARLEY_PAGES_H
#define PARLEY_PAGES_H

#include "web.h"

#include <stdbool.h>

/* One file, as the build has put it in (the list is generated). */
struct page_file {
    const char *name; /* below static/ */
    const char *begin, *end;
};
extern const struct page_file page_files[];
extern const size_t page_file_count;

struct pages;

struct pages *pages_new(void);
void pages_free(struct pages **pages);
/* `/` is index.html, `/docs` docs.html, `/test/websocket_test.html` the page that works as a file, too; all are under
 * /static/. False: there is no such page. Otherwise it is answered. */
bool pages_handle(const struct pages *pages, struct web_exchange *exchange, const struct web_head *head);

#endif
