/* What a gateway wants of a running turn.
 *
 *   subject   parley.turn.<turn>
 *   from      any gateway
 *   message   TurnControl: cancel it; or attach, that is, send to this connection what comes after the given position,
 *             and go on sending to it
 *   answer    TurnControlReply, at once; what was asked for follows as Events
 *   failure   what can't be understood is not answered; nor is a cancel before the turn is ours, when we might still
 *             have to hand it back: then the gateway leaves a mark in the record. A cancel that comes after the turn's
 *             end is too late, and answered all the same: its final event is on the way */
#include "on_turn_control.h"

#include "id.h"
#include "log.h"
#include "turn_internal.h"

static void reply(struct turn *turn, const char *subject)
{
    Parley__TurnControlReply message = PARLEY__TURN_CONTROL_REPLY__INIT;
    struct buf payload = {0};

    if (subject == NULL)
        return;
    message.attempt = turn->attempt;
    wire_pack(&message.base, &payload);
    /* Not sent: the gateway asks again. */
    int unsent = bus_publish(turn->agent->bus, subject, NULL, NULL, &payload);
    (void)unsent;
    buf_deinit(&payload);
}

void on_turn_control(void *arg, const struct bus_message *message)
{
    struct turn *turn = arg;
    Parley__TurnControl *control;

    if (wire_unpack(turn->agent->arena, &parley__turn_control__descriptor, message->data, message->len, &control) !=
        ERR_NONE)
        return;
    switch (control->kind_case) {
    case PARLEY__TURN_CONTROL__KIND_CANCEL:
        if (turn->checkpoint != NULL || turn->ended_before)
            reply(turn, message->reply);
        turn_cancel(turn);
        break;
    case PARLEY__TURN_CONTROL__KIND_ATTACH: {
        const Parley__Attach *attach = control->attach;
        if (!id_is_token_text(attach->gateway) || !id_is_token_text(attach->connection))
            return;
        reply(turn, message->reply);
        turn_attach(turn, attach->gateway, attach->connection, attach->offset, attach->steps);
        break;
    }
    default:
        break;
    }
}
