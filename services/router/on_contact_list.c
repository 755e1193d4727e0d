/* ContactList: a page of the contact requests, newest first.
 *
 *   subject   SUBJECT_COMMAND_CONTACT_LIST, one router of the queue group
 *   from      a gateway
 *   answers   ContactPage: at most `limit` of those numbered below `before`, and where the next page begins; or the
 *             reason why it can't be read now. A page ends early rather than growing beyond what one message holds
 *
 * A number is the request's place in the stream. Some may be missing there: the owner has deleted them. */
#include "command.pb-c.h"
#include "log.h"
#include "router.h"
#include "store.h"
#include "stores.h"
#include "subjects.h"

#define READS_MAX      1000      /* for one page: of what is there, and of what is missing */
#define PAGE_MAX_BYTES (2 << 20) /* … after which it takes no more */

struct page {
    struct command command; /* first */
    uint64_t first;         /* of the stream */
    uint64_t number;        /* the one under way */
    uint64_t before;        /* as asked */
    size_t limit, reads;
    size_t count;
    struct buf packed; /* ListedContacts as they stand in a ContactPage, which is a list, and two fields that follow */
};

static void deinit_page(struct command *command)
{
    buf_deinit(&((struct page *)command)->packed);
}

static void reply_failed(const struct command *command, const char *failure)
{
    Parley__ContactPage answer = PARLEY__CONTACT_PAGE__INIT;
    answer.failure = router_text(failure);
    router_reply(command, &answer.base);
}

static void end_page(struct page *page, int err)
{
    struct command *command = &page->command;
    Parley__ContactPage rest = PARLEY__CONTACT_PAGE__INIT;
    rest.next = page->number >= page->first ? page->number + 1 : 0;
    if (err) {
        log_warning("contact requests could not be listed", LOG_TRACE(&command->trace), LOG_ERR(err));
        reply_failed(command, err_text(err));
    } else {
        log_debug("contact requests listed", LOG_INT("count", page->count), LOG_TRACE(&command->trace));
        wire_pack(&rest.base, &page->packed);
        router_reply_packed(command, &page->packed);
    }
    router_end(command);
}

static void add(struct page *page, const void *value, size_t len)
{
    Parley__Contact *contact;
    Parley__ListedContact listed = PARLEY__LISTED_CONTACT__INIT, *only = &listed;
    Parley__ContactPage one = PARLEY__CONTACT_PAGE__INIT;
    if (wire_unpack(page->command.router->stored, &parley__contact__descriptor, value, len, &contact)) {
        log_error("a stored contact request can't be read", LOG_INT("number", page->number),
                  LOG_TRACE(&page->command.trace));
        return;
    }
    listed.number = page->number;
    listed.contact = contact;
    one.contacts = &only;
    one.n_contacts = 1;
    wire_pack(&one.base, &page->packed);
    page->count++;
}

static void on_read(void *arg, int err, const void *value, size_t len, uint64_t sequence);

/* Goes down from page->number as long as there is room. */
static void read_next(struct page *page)
{
    bool full = page->count >= page->limit || page->reads >= READS_MAX || page->packed.len >= PAGE_MAX_BYTES;
    if (full || page->number < page->first) {
        end_page(page, ERR_NONE);
        return;
    }
    page->reads++;
    store_get_message(page->command.router->service->bus, STREAM_CONTACTS, page->number, STORE_TIMEOUT_MS, on_read,
                      page);
}

static void on_read(void *arg, int err, const void *value, size_t len, uint64_t sequence)
{
    (void)sequence;
    struct page *page = arg;
    if (err && err != ERR_NOT_FOUND) {
        end_page(page, err);
        return;
    }
    if (!err)
        add(page, value, len);
    page->number--;
    read_next(page);
}

static void on_state(void *arg, int err, const struct store_state *state)
{
    struct page *page = arg;
    if (err) {
        page->number = 0;
        end_page(page, err);
        return;
    }
    page->first = state->first > 0 ? state->first : 1;
    page->number = page->before > 0 && page->before <= state->last ? page->before - 1 : state->last;
    read_next(page);
}

void on_contact_list(void *arg, const struct bus_message *message)
{
    struct router *router = arg;
    struct command command;
    const Parley__ContactList *asked = router_read(router, message, &parley__contact_list__descriptor, &command);
    if (!asked) {
        router_drop(&command, message);
    } else if (router_is_full(router)) {
        reply_failed(&command, ROUTER_FULL);
    } else {
        struct page *page = router_begin(&command, sizeof *page);
        page->command.deinit = deinit_page;
        page->before = asked->before;
        page->limit = asked->limit > 0 ? asked->limit : READS_MAX;
        store_get_state(router->service->bus, STREAM_CONTACTS, STORE_TIMEOUT_MS, on_state, page);
    }
}
