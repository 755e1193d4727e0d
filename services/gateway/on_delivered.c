/* DeliveredRequest: an agent takes a turn over, and asks what its client has been sent already, or will be.
 *
 *   subject   SUBJECT_DELIVERED, of this gateway, through which it was asked; and SUBJECT_DELIVERED_ALL, as others may
 *             have it by now: where its client has moved to, or where members of its room are
 *   from      an agent
 *   answers   Delivered: the text held here; or that the turn is not known here, as when its client has gone. Asked
 * with all others: nothing then broken    logged, and answered with "not known" */
#include "log.h"
#include "recover.h"
#include "subjects.h"
#include "turn.h"
#include "turn.pb-c.h"

#include <string.h>

static void reply_delivered(struct gateway *gateway, const char *subject, const struct turn *turn)
{
    Parley__Delivered delivered = PARLEY__DELIVERED__INIT;
    if (turn) {
        delivered.known = true;
        delivered.text.data = (uint8_t *)turn->answer.text.data;
        delivered.text.len = turn->answer.text.len;
        delivered.steps = turn->answer.step_count;
    }
    struct buf packed = {0};
    wire_pack(&delivered.base, &packed);
    int err = bus_publish(gateway->service->bus, subject, NULL, NULL, &packed);
    if (err)
        log_warning("what was delivered could not be told", LOG_TEXT("turn", turn ? turn->id : NULL),
                    LOG_TEXT("trace", turn && trace_is_set(&turn->trace) ? turn->trace.id : NULL), LOG_ERR(err));
    buf_deinit(&packed);
}

void on_delivered(void *arg, const struct bus_message *message)
{
    struct gateway *gateway = arg;
    if (!message->reply)
        return;
    Parley__DeliveredRequest *request;
    int err =
        wire_unpack(gateway->arena, &parley__delivered_request__descriptor, message->data, message->len, &request);
    if (err)
        log_warning("a request that can't be read", LOG_TEXT("subject", message->subject), LOG_ERR(err));
    struct turn *turn = err ? NULL : turn_find(gateway, request->turn);
    /* What it is told must stay true: from here on its predecessor adds nothing. */
    if (turn && answer_hear(&turn->answer, request->attempt))
        turn_heard(turn);
    if (turn && !turn->followers && turn->cancel)
        turn = NULL;
    bool all_asked = strcmp(message->subject, SUBJECT_DELIVERED_ALL) == 0;
    if (turn || !all_asked)
        reply_delivered(gateway, message->reply, turn);
    if (turn && !turn->room && all_asked)
        recover_start(turn); /* it may not know that we listen */
}
