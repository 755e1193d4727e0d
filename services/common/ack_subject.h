/* Where a message delivered by a JetStream consumer wants its acknowledgement: the subject says what it is (ADR-15 of
 * the NATS architecture). Two forms are in use:
 *   $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>
 *   $JS.ACK.<domain>.<account hash>.<stream>.<consumer>.<delivered>.<stream seq>.<consumer
 * seq>.<time>.<pending>[.<random>…]
 */
#ifndef PARLEY_ACK_SUBJECT_H
#define PARLEY_ACK_SUBJECT_H

#include "err.h"

#include <stdint.h>

struct ack_subject {
    int64_t delivered; /* from 1 */
    uint64_t stream_sequence;
};

/* `text` may be NULL. ERR_INVALID: it is none. */
int ack_subject_parse(const char *text, struct ack_subject *out) MUST_CHECK;

#endif
