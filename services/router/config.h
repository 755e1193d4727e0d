/* What an operator configures in one JSON file (PARLEY_CONFIG): pipelines, personas, and how contacts are treated.
 *
 *   {"default_pipeline": uuid,                     // missing: the first
 *    "pipelines": [{"uuid", "name",                // at least one
 *                   "model", "persona": id, "tools": [name, …],
 *                   "group": {"trigger": text, "mention": name}}],
 *    "personas":  [{"id", "name", "system_prompt", "model", "options": {…}, "tools": [name, …]}],
 *    "contact":   {"webhook": url, "apology": text, "persona": id, "owner": text}}
 *
 * Needed are pipelines, each pipeline's uuid and name, and each persona's id, name and system_prompt. What is not known
 * is refused, so that a slip of the pen is found. uuid, id and names of tools are [A-Za-z0-9_-]{1,64}.
 *
 * A persona that a client names is taken; else, of a contact, that of "contact"; else the pipeline's; else the model is
 * told nothing. The persona's model goes before the pipeline's; tools are those that both allow (missing: all). */
#ifndef PARLEY_CONFIG_H
#define PARLEY_CONFIG_H

#include "err.h"
#include "job.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

#define CONFIG_MAX_BYTES   (4 << 20)
#define CONFIG_REASON_SIZE 512

struct config;

/* Reads the file at `path`; NULL or empty: takes what is built in (deploy/config/parley.json). Else the same for text.
 * On failure `reason` says for people what is wrong, and where: "/etc/parley.json: pipelines[1].uuid: is missing, line
 * 12". */
int config_load(const char *path, struct config **out, char reason[CONFIG_REASON_SIZE]) MUST_CHECK;
int config_parse(const char *text, size_t len, struct config **out, char reason[CONFIG_REASON_SIZE]) MUST_CHECK;
void config_free(struct config **config); /* NULL inside is allowed */

/* Empty: the default one. */
bool config_has_pipeline(const struct config *config, const char *pipeline);
/* The group rule of a pipeline that there is; "" where there is none. */
const char *config_group_trigger(const struct config *config, const char *pipeline);
const char *config_group_mention(const struct config *config, const char *pipeline);

/* NULL: none. */
const char *config_webhook(const struct config *config);
const char *config_owner(const struct config *config);

/* Who answers. Texts are lent by the config. */
struct config_choice {
    Parley__Persona persona;
    bool no_tools;       /* none is allowed; where the persona lists none, all are */
    const char *apology; /* what a contact is told should the answer fail; NULL: no words for that */
};

/* `pipeline` and `persona` empty: none named. ERR_NOT_FOUND: there is no such one; `reason`, for the client, says
 * which. */
int config_choose(const struct config *config, const char *pipeline, const char *persona, bool contact,
                  struct config_choice *out, char reason[CONFIG_REASON_SIZE]) MUST_CHECK;
void config_choice_deinit(struct config_choice *choice);

#endif
