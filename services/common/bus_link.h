/* Private to the bus: the connection to the broker, and the thread that makes it and publishes over it.
 *
 *   loop --commands--> bus_queue --> publishing thread --> broker --> libnats' threads, bus_inbox --letters--> mailbox
 */
#ifndef PARLEY_BUS_LINK_H
#define PARLEY_BUS_LINK_H

#include "bus.h"
#include "bus_queue.h"
#include "mailbox.h"

struct bus_link;

/* Starts connecting. Letters (bus_subscription.h) come by the mailbox. */
struct bus_link *bus_link_new(const struct bus_options *options, struct mailbox *mailbox);
/* Ends the thread and the connection: nothing is posted afterwards. What waits to be published is dropped. */
void bus_link_stop(struct bus_link *link);
/* When stopped, and after the last letter has been freed. */
void bus_link_free(struct bus_link **link);

/* Takes and nulls the command. ERR_FULL, for publications only: then it is freed. */
int bus_link_send(struct bus_link *link, struct bus_command **command) MUST_CHECK;
size_t bus_link_queued_bytes(const struct bus_link *link);
uint64_t bus_link_published(const struct bus_link *link); /* messages written so far */
uint64_t bus_link_dropped(const struct bus_link *link);   /* in either direction */

#endif
