#include "config.h"

#include "config_options.h"
#include "config_reader.h"
#include "file.h"
#include "json.h"
#include "mem.h"
#include "utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PERSONA_SHOWN_BYTES 200 /* of a name that is not known */

struct persona {
    const char *id, *name, *system_prompt, *model;
    const json_t *options, *tools; /* NULL: none; all */
    char *options_text;
};

struct pipeline {
    const char *uuid, *name, *model, *persona_id;
    const json_t *group, *tools;
    const char *trigger, *mention;
    const struct persona *persona; /* NULL: none */
};

struct config {
    json_t *root; /* what all pointers below point into */
    const json_t *pipeline_list, *persona_list, *contact;
    struct pipeline *pipelines;
    struct persona *personas;
    size_t pipeline_count, persona_count;
    const char *default_uuid;
    const struct pipeline *fallback;
    const char *webhook, *apology, *owner, *contact_persona_id;
    const struct persona *contact_persona; /* NULL: the pipeline's */
};

#define TOP(field)      offsetof(struct config, field)
#define PIPELINE(field) offsetof(struct pipeline, field)
#define PERSONA(field)  offsetof(struct persona, field)

static const struct config_field top_fields[] = {
    {"default_pipeline", CONFIG_TOKEN, false, TOP(default_uuid)},
    {"pipelines", CONFIG_ARRAY, true, TOP(pipeline_list)},
    {"personas", CONFIG_ARRAY, false, TOP(persona_list)},
    {"contact", CONFIG_OBJECT, false, TOP(contact)},
    {0},
};

static const struct config_field pipeline_fields[] = {
    {"uuid", CONFIG_TOKEN, true, PIPELINE(uuid)},
    {"name", CONFIG_LINE, true, PIPELINE(name)},
    {"model", CONFIG_LINE, false, PIPELINE(model)},
    {"persona", CONFIG_TOKEN, false, PIPELINE(persona_id)},
    {"tools", CONFIG_TOKENS, false, PIPELINE(tools)},
    {"group", CONFIG_OBJECT, false, PIPELINE(group)},
    {0},
};

static const struct config_field group_fields[] = {
    {"trigger", CONFIG_LINE, false, PIPELINE(trigger)},
    {"mention", CONFIG_LINE, false, PIPELINE(mention)},
    {0},
};

static const struct config_field persona_fields[] = {
    {"id", CONFIG_TOKEN, true, PERSONA(id)},
    {"name", CONFIG_LINE, true, PERSONA(name)},
    {"system_prompt", CONFIG_TEXT, true, PERSONA(system_prompt)},
    {"model", CONFIG_LINE, false, PERSONA(model)},
    {"options", CONFIG_OBJECT, false, PERSONA(options)},
    {"tools", CONFIG_TOKENS, false, PERSONA(tools)},
    {0},
};

static const struct config_field contact_fields[] = {
    {"webhook", CONFIG_URL, false, TOP(webhook)},
    {"apology", CONFIG_TEXT, false, TOP(apology)},
    {"owner", CONFIG_LINE, false, TOP(owner)},
    {"persona", CONFIG_TOKEN, false, TOP(contact_persona_id)},
    {0},
};

static const struct config_place whole = {0};

/* ---- Finding */

static const struct persona *find_persona(const struct config *config, const char *id)
{
    for (size_t i = 0; i < config->persona_count; i++)
        if (config->personas[i].id && strcmp(config->personas[i].id, id) == 0)
            return &config->personas[i];
    return NULL;
}

static const struct pipeline *find_pipeline(const struct config *config, const char *uuid)
{
    if (!*uuid)
        return config->fallback;
    for (size_t i = 0; i < config->pipeline_count; i++)
        if (config->pipelines[i].uuid && strcmp(config->pipelines[i].uuid, uuid) == 0)
            return &config->pipelines[i];
    return NULL;
}

/* ---- Reading */

static const struct persona *refer(struct config_reader *reader, const struct config_place *parent, const char *id,
                                   const struct config *config)
{
    const struct config_place place = {.parent = parent, .key = "persona"};
    const struct persona *persona = id ? find_persona(config, id) : NULL;
    if (id && !persona)
        config_wrong(reader, &place, "there is no persona '%s'", id);
    return persona;
}

static void read_personas(struct config_reader *reader, struct config *config)
{
    const struct config_place list = {.parent = &whole, .key = "personas"};
    size_t count = json_array_size(config->persona_list);
    config->personas = mem_alloc((count + 1) * sizeof *config->personas);
    for (size_t i = 0; i < count; i++) {
        const struct config_place place = {.parent = &list, .index = i}, id = {.parent = &place, .key = "id"},
                                  options = {.parent = &place, .key = "options"};
        struct persona *persona = &config->personas[i];
        config_read_object(reader, &place, json_array_get(config->persona_list, i), persona_fields, persona);
        if (persona->id && find_persona(config, persona->id))
            config_wrong(reader, &id, "there is another persona '%s'", persona->id);
        config_check_options(reader, &options, persona->options);
        if (persona->options)
            persona->options_text = json_dumps(persona->options, JSON_COMPACT);
        config->persona_count = i + 1;
    }
}

static void read_pipelines(struct config_reader *reader, struct config *config)
{
    const struct config_place list = {.parent = &whole, .key = "pipelines"};
    size_t count = json_array_size(config->pipeline_list);
    config->pipelines = mem_alloc((count + 1) * sizeof *config->pipelines);
    if (count == 0)
        config_wrong(reader, &list, "there must be at least one");
    for (size_t i = 0; i < count; i++) {
        const struct config_place place = {.parent = &list, .index = i}, uuid = {.parent = &place, .key = "uuid"},
                                  group = {.parent = &place, .key = "group"};
        struct pipeline *pipeline = &config->pipelines[i];
        config_read_object(reader, &place, json_array_get(config->pipeline_list, i), pipeline_fields, pipeline);
        if (pipeline->uuid && find_pipeline(config, pipeline->uuid))
            config_wrong(reader, &uuid, "there is another pipeline '%s'", pipeline->uuid);
        if (pipeline->group)
            config_read_object(reader, &group, pipeline->group, group_fields, pipeline);
        pipeline->persona = refer(reader, &place, pipeline->persona_id, config);
        config->pipeline_count = i + 1;
    }
}

static void read_whole(struct config_reader *reader, struct config *config)
{
    const struct config_place contact = {.parent = &whole, .key = "contact"},
                              fallback = {.parent = &whole, .key = "default_pipeline"};
    config_read_object(reader, &whole, config->root, top_fields, config);
    read_personas(reader, config);
    read_pipelines(reader, config);
    if (config->contact)
        config_read_object(reader, &contact, config->contact, contact_fields, config);
    config->contact_persona = refer(reader, &contact, config->contact_persona_id, config);
    config->fallback = config->pipelines;
    if (config->default_uuid)
        config->fallback = find_pipeline(config, config->default_uuid);
    if (!config->fallback)
        config_wrong(reader, &fallback, "there is no pipeline '%s'", config->default_uuid);
}

/* Cuts it between code points where it is too long. */
static void explain(char reason[CONFIG_REASON_SIZE], const char *prefix, const char *text)
{
    snprintf(reason, CONFIG_REASON_SIZE, "%s%s", prefix, text);
    reason[utf8_cut(reason, strlen(reason), CONFIG_REASON_SIZE - 1)] = '\0';
}

int config_parse(const char *text, size_t len, struct config **out, char reason[CONFIG_REASON_SIZE])
{
    struct buf copy = {0};
    json_t *root;
    if (json_parse(text, len, reason, CONFIG_REASON_SIZE, &root))
        return ERR_INVALID;
    buf_append(&copy, text, len);
    struct config_reader reader = {.text = copy.data};
    struct config *config = mem_alloc(sizeof *config);
    config->root = root;
    read_whole(&reader, config);
    int err = reader.wrong.len > 0 ? ERR_INVALID : ERR_NONE;
    if (err) {
        explain(reason, "", reader.wrong.data);
        config_free(&config);
    } else {
        *out = config;
    }
    buf_deinit(&reader.wrong);
    buf_deinit(&copy);
    return err;
}

/* ---- Loading */

/* deploy/config/parley.json, put into the program when it is built. */
extern const char config_built_in[], config_built_in_end[];

int config_load(const char *path, struct config **out, char reason[CONFIG_REASON_SIZE])
{
    struct buf text = {0}, prefix = {0};
    char what[CONFIG_REASON_SIZE] = "";
    if (!path || !*path)
        return config_parse(config_built_in, (size_t)(config_built_in_end - config_built_in), out, reason);
    int err = file_read(path, CONFIG_MAX_BYTES, &text);
    if (err)
        explain(what, "", err == ERR_SYSTEM ? strerror(errno) : "is larger than 4 MiB");
    else
        err = config_parse(text.data, text.len, out, what);
    if (err) {
        buf_printf(&prefix, "%s: ", path);
        explain(reason, prefix.data, what);
    }
    buf_deinit(&prefix);
    buf_deinit(&text);
    return err;
}

void config_free(struct config **config)
{
    struct config *gone = *config;
    *config = NULL;
    if (!gone)
        return;
    for (size_t i = 0; i < gone->persona_count; i++)
        free(gone->personas[i].options_text);
    free(gone->personas);
    free(gone->pipelines);
    json_decref(gone->root);
    free(gone);
}

/* ---- Asking */

bool config_has_pipeline(const struct config *config, const char *pipeline)
{
    return find_pipeline(config, pipeline) != NULL;
}

const char *config_group_trigger(const struct config *config, const char *pipeline)
{
    const char *trigger = find_pipeline(config, pipeline)->trigger;
    return trigger ? trigger : "";
}

const char *config_group_mention(const struct config *config, const char *pipeline)
{
    const char *mention = find_pipeline(config, pipeline)->mention;
    return mention ? mention : "";
}

const char *config_webhook(const struct config *config)
{
    return config->webhook;
}

const char *config_owner(const struct config *config)
{
    return config->owner;
}

static bool allows(const json_t *tools, const char *name)
{
    for (size_t i = 0; i < json_array_size(tools); i++)
        if (strcmp(json_string_value(json_array_get(tools, i)), name) == 0)
            return true;
    return tools == NULL;
}

/* What both allow. */
static void choose_tools(const json_t *of_persona, const json_t *of_pipeline, struct config_choice *choice)
{
    const json_t *list = of_persona ? of_persona : of_pipeline;
    if (!list)
        return;
    size_t count = 0;
    char **tools = mem_alloc((json_array_size(list) + 1) * sizeof *tools);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (allows(of_pipeline, name))
            tools[count++] = (char *)name;
    }
    choice->no_tools = count == 0;
    choice->persona.tools = tools;
    choice->persona.n_tools = count;
}

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
}

static void fill(const struct pipeline *pipeline, const struct persona *persona, struct config_choice *out)
{
    *out = (struct config_choice){.persona = PARLEY__PERSONA__INIT};
    if (pipeline->model)
        out->persona.model = (char *)pipeline->model;
    if (persona) {
        out->persona.name = (char *)persona->id;
        out->persona.system_prompt = bytes_of(persona->system_prompt);
        if (persona->model)
            out->persona.model = (char *)persona->model;
        if (persona->options_text)
            out->persona.options = bytes_of(persona->options_text);
    }
    choose_tools(persona ? persona->tools : NULL, pipeline->tools, out);
}

int config_choose(const struct config *config, const char *pipeline_uuid, const char *persona_id, bool contact,
                  struct config_choice *out, char reason[CONFIG_REASON_SIZE])
{
    const struct pipeline *pipeline = find_pipeline(config, pipeline_uuid);
    if (!pipeline) {
        explain(reason, "Pipeline not found", "");
        return ERR_NOT_FOUND;
    }
    const struct persona *persona = pipeline->persona;
    if (*persona_id)
        persona = find_persona(config, persona_id);
    else if (contact && config->contact_persona)
        persona = config->contact_persona;
    if (*persona_id && !persona) {
        char shown[PERSONA_SHOWN_BYTES + 1];
        snprintf(shown, sizeof shown, "%.*s", (int)utf8_cut(persona_id, strlen(persona_id), PERSONA_SHOWN_BYTES),
                 persona_id);
        explain(reason, "Unknown personality: ", shown);
        return ERR_NOT_FOUND;
    }
    fill(pipeline, persona, out);
    out->apology = contact ? config->apology : NULL;
    return ERR_NONE;
}

void config_choice_deinit(struct config_choice *choice)
{
    free(choice->persona.tools);
    *choice = (struct config_choice){0};
}
