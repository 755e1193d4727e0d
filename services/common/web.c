#include "web_private.h"

#include "clock.h"
#include "mem.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define TICK_MS 1000
/* Turns that turns bring about are run at once as well, but not for ever: the loop has others to serve. */
#define TURN_ROUNDS 4

void web_link_init(struct web_link *head)
{
    head->previous = head->next = head;
}

bool web_link_empty(const struct web_link *head)
{
    return head->next == head;
}

bool web_link_in_list(const struct web_link *link)
{
    return link->next != NULL;
}

void web_link_append(struct web_link *head, struct web_link *link)
{
    link->previous = head->previous;
    link->next = head;
    head->previous->next = link;
    head->previous = link;
}

void web_link_remove(struct web_link *link)
{
    if (!web_link_in_list(link))
        return;
    link->previous->next = link->next;
    link->next->previous = link->previous;
    *link = (struct web_link){0};
}

void web_turn_queue(struct web *web, struct web_turn *turn)
{
    if (!web_link_in_list(&turn->link))
        web_link_append(&web->turns, &turn->link);
}

/* Runs what is queued now; what that queues anew stays. */
static void run_round(struct web *web)
{
    struct web_link end = {0};
    web_link_append(&web->turns, &end);
    while (web->turns.next != &end) {
        struct web_turn *turn = (struct web_turn *)web->turns.next;
        web_link_remove(&turn->link);
        turn->run(turn);
    }
    web_link_remove(&end);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct web *web = prepare->data;
    for (int i = 0; i < TURN_ROUNDS && !web_link_empty(&web->turns); i++)
        run_round(web);
    if (web_link_empty(&web->turns))
        uv_idle_stop(&web->idle);
    else
        uv_idle_start(&web->idle, on_idle);
}

static void on_tick(uv_timer_t *tick)
{
    struct web *web = tick->data;
    int64_t now_ms = clock_monotonic_ms();
    for (struct web_link *at = web->listeners.next; at != &web->listeners; at = at->next)
        web_listener_resume((struct web_listener *)at);
    struct web_link *next;
    for (struct web_link *at = web->https.next; at != &web->https; at = next) {
        next = at->next;
        web_http_tick(WEB_CONTAINER(at, struct web_http, link), now_ms);
    }
    web_lws_tick(web, now_ms);
}

struct web *web_new(uv_loop_t *loop, const struct web_options *options)
{
    struct web *web = mem_alloc(sizeof *web);
    web->loop = loop;
    web->options = *options;
    web_link_init(&web->turns);
    web_link_init(&web->https);
    web_link_init(&web->listeners);
    web_link_init(&web->sites);
    web_link_init(&web->unfinished);
    web->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    uv_prepare_init(loop, &web->prepare);
    uv_idle_init(loop, &web->idle);
    uv_timer_init(loop, &web->tick);
    web->prepare.data = web->idle.data = web->tick.data = web;
    uv_prepare_start(&web->prepare, on_prepare);
    uv_timer_start(&web->tick, on_tick, TICK_MS, TICK_MS);
    web->lws = web_lws_new(web);
    return web;
}

static void on_closed(uv_handle_t *handle)
{
    struct web *web = handle->data;
    buf_deinit(&web->argument);
    free(web);
}

/* Waits for the library, which closes its handles over several turns of the loop. */
static void on_reap(uv_idle_t *idle)
{
    struct web *web = idle->data;
    if (web_lws_free(&web->lws))
        uv_close((uv_handle_t *)idle, on_closed);
}

static void free_sites(struct web *web)
{
    while (!web_link_empty(&web->sites)) {
        struct web_link *link = web->sites.next;
        web_link_remove(link);
        free(link);
    }
}

void web_free(struct web **taken)
{
    struct web *web = *taken;
    *taken = NULL;
    if (!web)
        return;
    while (!web_link_empty(&web->listeners)) {
        struct web_listener *listener = (struct web_listener *)web->listeners.next;
        web_listener_free(&listener);
    }
    while (!web_link_empty(&web->https))
        web_http_close(WEB_CONTAINER(web->https.next, struct web_http, link));
    web_lws_stop(web->lws);
    free_sites(web);
    if (web->spare >= 0)
        close(web->spare);
    uv_close((uv_handle_t *)&web->prepare, NULL);
    uv_close((uv_handle_t *)&web->tick, NULL);
    uv_idle_stop(&web->idle);
    uv_idle_start(&web->idle, on_reap);
}

struct web_site *web_site_new(struct web *web, const struct web_handlers *handlers, void *arg)
{
    struct web_site *site = mem_alloc(sizeof *site);
    site->handlers = handlers;
    site->arg = arg;
    web_link_append(&web->sites, &site->link);
    return site;
}

void web_stop_listening(struct web *web, const struct web_site *site)
{
    for (struct web_link *at = web->listeners.next; at != &web->listeners; at = at->next) {
        struct web_listener *listener = (struct web_listener *)at;
        if (listener->site == site)
            web_listener_stop(listener);
    }
}

size_t web_socket_count(const struct web *web)
{
    return web->sockets + web->exchanges;
}

const char *web_head_header(const struct web_head *head, const char *name)
{
    return http_head_field(&((struct web_http *)head->native)->head, name);
}

const char *web_head_argument(const struct web_head *head, const char *name)
{
    struct web_http *http = head->native;
    buf_reset(&http->web->argument);
    return http_head_argument(&http->head, name, &http->web->argument) ? http->web->argument.data : NULL;
}
