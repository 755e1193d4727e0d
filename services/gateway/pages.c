#include "pages.h"

#include "id.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER   "/static/"
#define TAG_SIZE (ID_HASH_SIZE + 2) /* with its quotes */

/* Nothing from elsewhere, nothing inline, no frames around it. */
#define CONTENT_SECURITY_POLICY                                                    \
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; " \
    "frame-ancestors 'none'"
/* The console may talk to any server that its user names. */
#define CONSOLE_PAGE   "test_websocket.html"
#define CONSOLE_POLICY CONTENT_SECURITY_POLICY "; connect-src 'self' ws: wss: http: https:"
/* The page that is one file, with everything inline, says the rest itself. */
#define SINGLE_PAGE        "websocket_test.html"
#define SINGLE_PAGE_POLICY "frame-ancestors 'none'"

struct page {
    const struct page_file *file;
    const char *content_type;
    char tag[TAG_SIZE]; /* RFC 9110, section 8.8.3 */
};

struct pages {
    struct page *list; /* as page_files[] */
};

static const char *content_type_of(const char *name)
{
    static const struct {
        const char *suffix, *content_type;
    } types[] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".json", "application/json"},
    };
    const char *suffix = strrchr(name, '.');
    for (size_t i = 0; suffix && i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].suffix, suffix) == 0)
            return types[i].content_type;
    return "application/octet-stream";
}

struct pages *pages_new(void)
{
    struct pages *pages = mem_alloc(sizeof *pages);
    pages->list = mem_alloc(page_file_count * sizeof *pages->list);
    for (size_t i = 0; i < page_file_count; i++) {
        const struct page_file *file = &page_files[i];
        char hash[ID_HASH_SIZE];
        id_hash(file->begin, (size_t)(file->end - file->begin), hash);
        pages->list[i].file = file;
        pages->list[i].content_type = content_type_of(file->name);
        snprintf(pages->list[i].tag, TAG_SIZE, "\"%s\"", hash);
    }
    return pages;
}

void pages_free(struct pages **pages)
{
    if (*pages)
        free((*pages)->list);
    free(*pages);
    *pages = NULL;
}

/* The file that stands at `path`, or NULL. */
static const char *name_at(const char *path)
{
    static const struct {
        const char *path, *name;
    } places[] = {
        {"/", "index.html"},
        {"/docs", "docs.html"},
        {"/test/" SINGLE_PAGE, SINGLE_PAGE},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (strcmp(places[i].path, path) == 0)
            return places[i].name;
    return strncmp(path, FOLDER, strlen(FOLDER)) == 0 ? path + strlen(FOLDER) : NULL;
}

static const struct page *find_page(const struct pages *pages, const char *path)
{
    const char *name = name_at(path);
    for (size_t i = 0; name && i < page_file_count; i++)
        if (strcmp(page_files[i].name, name) == 0)
            return &pages->list[i];
    return NULL;
}

static const char *policy_of(const struct page *page)
{
    if (strcmp(page->file->name, SINGLE_PAGE) == 0)
        return SINGLE_PAGE_POLICY;
    return strcmp(page->file->name, CONSOLE_PAGE) == 0 ? CONSOLE_POLICY : CONTENT_SECURITY_POLICY;
}

static void respond_page(struct web_exchange *exchange, const struct web_head *head, const struct page *page)
{
    const char *const headers[] = {
        "Cache-Control", "no-cache",        "ETag",        page->tag, "Content-Security-Policy",
        policy_of(page), "Referrer-Policy", "no-referrer", NULL};
    const char *known = web_head_header(head, "if-none-match");
    if (known && strstr(known, page->tag)) {
        web_respond(exchange, 304, NULL, headers, NULL);
        return;
    }
    struct buf body = {0};
    buf_append(&body, page->file->begin, (size_t)(page->file->end - page->file->begin));
    web_respond(exchange, 200, page->content_type, headers, &body);
    buf_deinit(&body);
}

bool pages_handle(const struct pages *pages, struct web_exchange *exchange, const struct web_head *head)
{
    const struct page *page = find_page(pages, head->path);
    if (!page)
        return false;
    if (strcmp(head->method, "GET") == 0 || strcmp(head->method, "HEAD") == 0) {
        respond_page(exchange, head, page);
    } else {
        const char *const allow[] = {"Allow", "GET, HEAD", NULL};
        web_respond(exchange, 405, "text/plain; charset=utf-8", allow, NULL);
    }
    return true;
}
