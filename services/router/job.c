#include "job.h"

#include "wire.h"

#include <string.h>

void job_conversation_key(const ProtobufCBinaryData *name, char out[ID_HASH_SIZE])
{
    id_hash(name->data, name->len, out);
}

void job_pack(const Parley__Ask *ask, const struct config_choice *choice, int64_t now_ms, int64_t start_deadline_ms,
              struct buf *out)
{
    char conversation[ID_HASH_SIZE];
    job_conversation_key(&ask->conversation, conversation);
    Parley__Persona persona = choice->persona;
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
    job.persona = &persona;
    job.use_tools = ask->use_tools && !choice->no_tools;
    job.room = ask->room;
    job.chain = ask->chain;
    if (choice->apology)
        job.apology = (ProtobufCBinaryData){strlen(choice->apology), (uint8_t *)choice->apology};
    wire_pack(&job.base, out);
}

/* Packed messages of a kind, one after the other, are one message with the fields of both. */
void job_set_message_id(struct buf *job, uint64_t message_id)
{
    Parley__Job rest = PARLEY__JOB__INIT;
    rest.message_id = message_id;
    wire_pack(&rest.base, job);
}
