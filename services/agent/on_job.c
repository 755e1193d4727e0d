/* A turn to run.
 *
 *   from      a router, through the stream JOBS (parley.job.<pool>), to one of the agents
 *   message   Job
 *   answer    Events to the job's gateway; the job is acknowledged after the last of them
 *   failure   no job, or one whose ids could not stand in a subject: logged, and acknowledged, for nobody can run it;
 *             past its start deadline, and nobody has begun it: acknowledged without a word, for its asker has been
 *             told; or ended as cancelled, where a conversation waits for its end and the gateway has left its mark;
 *             draining: handed back at once. One more than there is room for may have been on its way: it is run */
#include "on_job.h"

#include "agent.h"
#include "clock.h"
#include "job.pb-c.h"
#include "log.h"
#include "turn.h"
#include "utf8.h"

static bool is_text(ProtobufCBinaryData bytes)
{
    return bytes.len == 0 || utf8_valid((const char *)bytes.data, bytes.len);
}

static bool is_sound(const Parley__Job *job)
{
    return id_is_token_text(job->turn) && id_is_token_text(job->gateway) && id_is_token_text(job->connection) &&
           id_is_token_text(job->conversation) && (job->room[0] == '\0' || id_is_token_text(job->room)) &&
           is_text(job->question) && (job->persona == NULL || is_text(job->persona->system_prompt));
}

void on_job(void *arg, struct delivery *delivery)
{
    struct agent *agent = arg;
    size_t len;
    const void *data = delivery_data(delivery, &len);
    Parley__Job *job;

    if (agent->draining) {
        delivery_nak(agent->bus, &delivery, 0);
        return;
    }
    if (wire_unpack(agent->jobs, &parley__job__descriptor, data, len, &job) != ERR_NONE || !is_sound(job)) {
        log_error("a job that nobody can run", LOG_INT("sequence", delivery_sequence(delivery)),
                  LOG_TRACE(delivery_trace(delivery)));
        delivery_finish(agent->bus, &delivery);
        return;
    }
    /* Its record says whether it was begun; a broker that was killed has forgotten how often it gave the job away. */
    turn_start(agent, job, clock_wall_ms() > job->start_deadline_ms, &delivery);
}
