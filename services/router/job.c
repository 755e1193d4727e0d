#include "job.h"

#include "wire.h"

void job_conversation_key(const ProtobufCBinaryData *name, char out[ID_HASH_SIZE])
{
    id_hash(name->data, name->len, out);
}

void job_pack(const Parley__Ask *ask, const Parley__Persona *persona, int64_t now_ms, int64_t start_deadline_ms,
              struct buf *out)
{
    char conversation[ID_HASH_SIZE];
    job_conversation_key(&ask->conversation, conversation);
    Parley__Persona as_packed = *persona;
    Parley__Job job = PARLEY__JOB__INIT;
    job.turn = ask->turn;
    job.gateway = ask->gateway;
    job.connection = ask->connection;
    job.conversation = conversation;
    job.user = ask->user;
    job.credential = ask->credential;
    job.question = ask->question;
    job.dialect = ask->dialect;
    job.asked_ms = now_ms;
    job.start_deadline_ms = start_deadline_ms;
    job.persona = &as_packed;
    job.use_tools = ask->use_tools;
    wire_pack(&job.base, out);
}
