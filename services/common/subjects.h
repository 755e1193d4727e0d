/* clang-format off */
/* Every subject, stream and bucket of parley; nothing else spells one out.
 *
 * | subject                                   | message (proto/)                         | from          | to                          |
 * |-------------------------------------------|------------------------------------------|---------------|-----------------------------|
 * | parley.command.ask                        | Ask → Events (accepted, noted or failed) | gateway       | router, queue group         |
 * | parley.command.call_tool                  | CallTool → ToolResult                    | gateway       | router, queue group         |
 * | parley.command.contact                    | Contact → ContactStored                  | gateway       | router, queue group         |
 * | parley.command.contact_list               | ContactList → ContactPage                | gateway       | router, queue group         |
 * | parley.command.contact_delete             | ContactDelete → ContactDeleted           | gateway       | router, queue group         |
 * | parley.command.history                    | History → HistoryReply                   | gateway       | router, queue group         |
 * | parley.command.reset                      | Reset → Done                             | gateway       | router, queue group         |
 * | parley.command.broadcast                  | SendBroadcast → Done                     | gateway       | router, queue group         |
 * | parley.command.find_pipeline              | FindPipeline → Done                      | gateway       | router, queue group         |
 * | parley.conversation.turn_done             | TurnDone → TurnSaved                     | agent         | router, queue group         |
 * | parley.job.<pool>                         | Job (stream JOBS)                        | router        | agents, one pull consumer   |
 * | parley.contact                            | Contact (stream CONTACTS)                | router        | routers, one pull consumer  |
 * | parley.conn.<gateway>.<connection>.<turn> | Events                                   | router        | the gateway: reply to Ask   |
 * | parley.conn.<gateway>                     | Events                                   | agent         | the gateway                 |
 * | parley.room.<room>                        | Events                                   | agent, router | every gateway with members  |
 * | parley.gateway.<gateway>.delivered        | DeliveredRequest → Delivered             | agent         | the gateway                 |
 * | parley.gateway.delivered                  | DeliveredRequest → Delivered             | agent         | every gateway               |
 * | parley.delivered.<turn>.<attempt>         | Delivered, reply to a DeliveredRequest   | gateway       | the agent that asked        |
 * | parley.gateway.stats                      | StatsRequest → GatewayStats              | gateway       | every gateway               |
 * | parley.gateway.<gateway>.stats.<n>        | GatewayStats, reply to a StatsRequest    | gateway       | the gateway that asked      |
 * | parley.turn.<turn>                        | TurnControl → TurnControlReply           | gateway       | the agent that runs it      |
 * | parley.tool.<name>                        | ToolCall → ToolResult                    | agent, router | tools, queue group          |
 * | parley.tool_cancel                        | ToolCancel                               | agent, router | every tools process         |
 * | parley.tools.list                         | empty → ToolList                         | agent, router | tools, queue group          |
 *
 * <gateway> is service.id, <connection> and <turn> are UUIDs, <room> is id_hash of the room's name; <pool> and <name>
 * match [A-Za-z0-9_-]{1,64} (id_is_token). */
/* clang-format on */
#ifndef PARLEY_SUBJECTS_H
#define PARLEY_SUBJECTS_H

#define SUBJECT_SIZE 192

#define SUBJECT_COMMAND_ASK            "parley.command.ask"
#define SUBJECT_COMMAND_CALL_TOOL      "parley.command.call_tool"
#define SUBJECT_COMMAND_CONTACT        "parley.command.contact"
#define SUBJECT_COMMAND_CONTACT_LIST   "parley.command.contact_list"
#define SUBJECT_COMMAND_CONTACT_DELETE "parley.command.contact_delete"
#define SUBJECT_COMMAND_HISTORY        "parley.command.history"
#define SUBJECT_COMMAND_RESET          "parley.command.reset"
#define SUBJECT_COMMAND_BROADCAST      "parley.command.broadcast"
#define SUBJECT_COMMAND_FIND_PIPELINE  "parley.command.find_pipeline"
#define SUBJECT_TURN_DONE              "parley.conversation.turn_done"
#define SUBJECT_JOB                    "parley.job.%s" /* pool */
#define SUBJECT_CONTACT                "parley.contact"
#define SUBJECT_CONNECTION_TURN        "parley.conn.%s.%s.%s"        /* gateway, connection, turn */
#define SUBJECT_GATEWAY_EVENTS         "parley.conn.%s"              /* gateway */
#define SUBJECT_GATEWAY_TURN_EVENTS    "parley.conn.%s.>"            /* gateway */
#define SUBJECT_ROOM                   "parley.room.%s"              /* room */
#define SUBJECT_DELIVERED              "parley.gateway.%s.delivered" /* gateway */
#define SUBJECT_DELIVERED_ALL          "parley.gateway.delivered"
#define SUBJECT_DELIVERED_REPLY        "parley.delivered.%s.%" PRIu32 /* turn, attempt */
#define SUBJECT_GATEWAY_STATS          "parley.gateway.stats"
#define SUBJECT_GATEWAY_STATS_REPLY    "parley.gateway.%s.stats.%s"        /* gateway, number */
#define SUBJECT_GATEWAY_STATS_ASKER    "parley.gateway.%12[0-9a-f].stats." /* for sscanf(): whose reply subject it is */
#define SUBJECT_TURN                   "parley.turn.%s"                    /* turn */
#define SUBJECT_TOOL                   "parley.tool.%s"                    /* tool */
#define SUBJECT_TOOL_ALL               "parley.tool.*"
#define SUBJECT_TOOL_CANCEL            "parley.tool_cancel"
#define SUBJECT_TOOLS_LIST             "parley.tools.list"
#define SUBJECT_NOBODY                 "parley.nobody" /* the broker itself answers: no responders */

#define QUEUE_ROUTERS "routers"
#define QUEUE_TOOLS   "tools"

#define POOL_DEFAULT "default"

#define STREAM_JOBS         "JOBS"
#define STREAM_JOBS_SUBJECT "parley.job.*"
#define CONSUMER_AGENTS     "agents"
#define STREAM_CONTACTS     "CONTACTS"
#define CONSUMER_WEBHOOK    "webhook"

#define BUCKET_TURNS         "parley_turns"         /* key: turn, and turn.<segment> (segments.h) */
#define BUCKET_SESSIONS      "parley_sessions"      /* key: id_hash of the session's token */
#define BUCKET_POSTINGS      "parley_postings"      /* key: a contact request's number in its stream */
#define BUCKET_CONVERSATIONS "parley_conversations" /* key: id_hash of the conversation's name */

#endif
