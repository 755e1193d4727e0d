/* From a question to the job that an agent runs. Pure. */
#ifndef PARLEY_JOB_H
#define PARLEY_JOB_H

#include "buf.h"
#include "command.pb-c.h"
#include "config.h"
#include "id.h"
#include "job.pb-c.h"

#include <stdint.h>

/* The key under which the conversation of this name, any bytes, is kept. */
void job_conversation_key(const ProtobufCBinaryData *name, char out[ID_HASH_SIZE]);

/* Appends the packed job to `out`. Both times are Unix milliseconds. */
void job_pack(const Parley__Ask *ask, const struct config_choice *choice, int64_t now_ms, int64_t start_deadline_ms,
              struct buf *out);
/* Sets the answer's message id in a packed job that has none. */
void job_set_message_id(struct buf *job, uint64_t message_id);

#endif
