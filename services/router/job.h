/* From a question to the job that an agent runs. Pure. */
#ifndef PARLEY_JOB_H
#define PARLEY_JOB_H

#include "buf.h"
#include "command.pb-c.h"
#include "id.h"
#include "job.pb-c.h"

#include <stdint.h>

/* The key under which the conversation of this name, any bytes, is kept. */
void job_conversation_key(const ProtobufCBinaryData *name, char out[ID_HASH_SIZE]);

/* Appends the packed job to `out`. Both deadlines are Unix milliseconds. */
void job_pack(const Parley__Ask *ask, const Parley__Persona *persona, int64_t now_ms, int64_t start_deadline_ms,
              struct buf *out);

#endif
