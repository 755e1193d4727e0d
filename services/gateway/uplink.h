/* What a gateway sends to routers, agents and tools. Nothing here waits for an answer. */
#ifndef PARLEY_UPLINK_H
#define PARLEY_UPLINK_H

#include "err.h"
#include "turn.h"

struct call;
struct connection;

/* Ask, for any router; its answer comes as events, or as "no responders". ERR_DISCONNECTED, ERR_FULL, ERR_TOO_LARGE. */
int uplink_ask(const struct turn *turn) MUST_CHECK;
/* CallTool, packed. */
void uplink_pack_call(const struct call *call, const struct dialect_request *request, int64_t deadline_ms,
                      struct buf *out);
/* ToolCancel, to every tools process. What can't be sent is let go: the call has a deadline. */
void uplink_cancel_call(struct gateway *gateway, const char *call);
void uplink_pack_contact(const struct connection *connection, const char *id, const struct dialect_request *request,
                         struct buf *out);
void uplink_pack_contact_list(uint64_t before, uint32_t limit, struct buf *out);
void uplink_pack_contact_delete(uint64_t number, struct buf *out);
void uplink_pack_find_pipeline(const char *pipeline, struct buf *out);
/* Of a conversation of this name; `pipeline` must exist. */
void uplink_pack_history(const struct buf *conversation, const char *pipeline, struct buf *out);
void uplink_pack_reset(const struct buf *conversation, const char *pipeline, struct buf *out);
#define UPLINK_ROOMS_MAX 2
/* To all members of rooms of these names, at most UPLINK_ROOMS_MAX; `message` is JSON; `pipeline` must exist, NULL: is
 * not asked for. */
void uplink_pack_broadcast(const struct buf *rooms, size_t count, const struct buf *message, const char *pipeline,
                           struct buf *out);
/* TurnControl for the agent that runs a turn, packed. */
void uplink_pack_cancel(struct buf *out);
void uplink_pack_attach(const struct turn *turn, struct buf *out);

#endif
