#include "rest_contact.h"

#include "command.pb-c.h"
#include "mem.h"
#include "subjects.h"
#include "uplink.h"

#include <stdlib.h>
#include <string.h>

#define LIMIT_DEFAULT 50
#define LIMIT_MAX     200
#define TEXT(number)  TEXT_OF(number)
#define TEXT_OF(text) #text

/* ---- The list */

static void fill_list(struct contact_listed *list, const Parley__ContactPage *page)
{
    static Parley__Contact none = PARLEY__CONTACT__INIT;
    for (size_t i = 0; i < page->n_contacts; i++) {
        const Parley__Contact *contact = page->contacts[i]->contact ? page->contacts[i]->contact : &none;
        list[i] = (struct contact_listed){
            .number = page->contacts[i]->number,
            .request = contact->request,
            .connection = contact->connection,
            .message = gateway_text(&contact->message),
            .timestamp = gateway_text(&contact->timestamp),
            .user_agent = gateway_text(&contact->user_agent),
            .received = (double)contact->received_ms / 1000,
        };
    }
}

static void on_page(struct rest_call *call, const struct bus_message *reply)
{
    Parley__ContactPage *page;
    if (!rest_call_unpack(call, reply, &parley__contact_page__descriptor, &page) ||
        rest_call_has_failed(call, &page->failure))
        return;
    struct contact_listed *list = mem_alloc((page->n_contacts + 1) * sizeof *list);
    fill_list(list, page);
    rest_call_respond(call, 200, contact_list(list, page->n_contacts, page->next));
    free(list);
}

static bool read_number(const char *text, uint64_t most, uint64_t *out)
{
    size_t len = strlen(text);
    if (len < 1 || len > 18 || strspn(text, "0123456789") != len)
        return false;
    uint64_t number = strtoull(text, NULL, 10);
    if (number < 1 || number > most)
        return false;
    *out = number;
    return true;
}

/* A query argument of digits; false: it is something else. Not given: untouched. */
static bool take_number(const struct web_head *head, const char *name, uint64_t most, uint64_t *out)
{
    const char *text = web_head_argument(head, name);
    return !text || read_number(text, most, out);
}

void rest_contact_list(struct rest_call *call, const struct rest_request *request)
{
    uint64_t before = 0, limit = LIMIT_DEFAULT;
    if (!take_number(request->head, "before", UINT64_MAX, &before) ||
        !take_number(request->head, "limit", LIMIT_MAX, &limit)) {
        rest_call_fail(call, 400, "before must be a number from 1, limit one from 1 to " TEXT(LIMIT_MAX));
        return;
    }
    struct buf packed = {0};
    uplink_pack_contact_list(before, (uint32_t)limit, &packed);
    rest_call_ask(call, SUBJECT_COMMAND_CONTACT_LIST, &packed, on_page);
}

/* ---- The end of one */

static void on_deleted(struct rest_call *call, const struct bus_message *reply)
{
    Parley__ContactDeleted *deleted;
    if (!rest_call_unpack(call, reply, &parley__contact_deleted__descriptor, &deleted) ||
        rest_call_has_failed(call, &deleted->failure))
        return;
    if (deleted->not_found)
        rest_call_fail(call, 404, "Not found");
    else
        rest_call_respond_nothing(call);
}

/* The number at the end of such a path. */
static bool find_number(const char *path, uint64_t *out)
{
    static const char list[] = "/api/v1/contacts/";
    size_t len = sizeof list - 1;
    return strncmp(path, list, len) == 0 && read_number(path + len, UINT64_MAX, out);
}

static void delete_one(struct rest_call *call, const struct rest_request *request)
{
    uint64_t number = 0;
    struct buf packed = {0};
    if (!find_number(request->head->path, &number)) {
        rest_call_fail(call, 404, "Not found");
        return;
    }
    uplink_pack_contact_delete(number, &packed);
    rest_call_ask(call, SUBJECT_COMMAND_CONTACT_DELETE, &packed, on_deleted);
}

bool rest_contact_find(const char *path, struct rest_route *route)
{
    uint64_t number;
    if (!find_number(path, &number))
        return false;
    route->method = "DELETE";
    route->path = path;
    route->owner_only = true;
    route->handle = delete_one;
    return true;
}

/* ---- The broadcast */

static void on_broadcast(struct rest_call *call, const struct bus_message *reply)
{
    Parley__Done *done;
    if (rest_call_unpack(call, reply, &parley__done__descriptor, &done) && !rest_call_has_failed(call, &done->failure))
        rest_call_respond(call, 200, json_pack("{s:s}", "status", "sent"));
}

void rest_contact_broadcast(struct rest_call *call, const struct rest_request *request)
{
    struct buf message = {0}, room = {0}, packed = {0};
    const char *wrong = contact_read_broadcast(request->body, request->len, &message);
    if (wrong) {
        rest_call_fail(call, 400, wrong);
    } else {
        contact_name_room(&room);
        uplink_pack_broadcast(&room, 1, &message, NULL, &packed);
        rest_call_ask(call, SUBJECT_COMMAND_BROADCAST, &packed, on_broadcast);
    }
    buf_deinit(&room);
    buf_deinit(&message);
}
