#include "command_file.h"

#include "id.h"
#include "json.h"
#include "mem.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX_BYTES 1048576
#define TOOLS_MAX      256
#define ARGUMENTS_MAX  64
#define TIMEOUT_MAX_MS 600000
#define DETAIL_SIZE    256

static int read_text(const char *path, struct buf *out, char *reason, size_t reason_size)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        snprintf(reason, reason_size, "%s: %s", path, strerror(errno));
        return ERR_INVALID;
    }
    buf_reserve(out, FILE_MAX_BYTES + 1);
    size_t len = fread(out->data, 1, FILE_MAX_BYTES + 1, file);
    bool failed = ferror(file);
    fclose(file);
    out->len = len;
    if (!failed && len <= FILE_MAX_BYTES)
        return ERR_NONE;
    snprintf(reason, reason_size, "%s: %s", path, failed ? "can't be read" : "is larger than 1 MiB");
    return ERR_INVALID;
}

int command_file_read(const char *path, json_t **tools, char *reason, size_t reason_size)
{
    struct buf text = {0};
    char detail[DETAIL_SIZE] = "";
    json_t *whole = NULL;
    int err = read_text(path, &text, reason, reason_size);
    if (!err) {
        err = json_parse(text.data, text.len, detail, sizeof detail, &whole);
        if (err)
            snprintf(reason, reason_size, "%s: %s", path, detail);
    }
    buf_deinit(&text);
    if (err)
        return err;
    json_t *array = json_object_get(whole, "tools");
    if (!json_is_array(array) || json_array_size(array) > TOOLS_MAX) {
        snprintf(reason, reason_size, "%s: \"tools\" must be an array of at most %d objects", path, TOOLS_MAX);
        err = ERR_INVALID;
    } else {
        *tools = json_incref(array);
    }
    json_decref(whole);
    return err;
}

int command_file_fail(char *reason, size_t reason_size, size_t index, const char *key, const char *what)
{
    snprintf(reason, reason_size, "tools[%zu].%s %s", index, key, what);
    return ERR_INVALID;
}

/* A slip in a name must not go unnoticed. */
static const char *unknown_key(const json_t *description)
{
    static const char *const known[] = {"name", "description", "parameters", "command", "timeout_ms"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)description, key, value)
    {
        size_t i = 0;
        while (i < sizeof known / sizeof *known && strcmp(key, known[i]) != 0)
            i++;
        if (i == sizeof known / sizeof *known)
            return key;
    }
    return NULL;
}

/* An argument may be empty, but the program may not, and neither may hold U+0000. */
static bool is_command(const json_t *command)
{
    size_t count = json_array_size(command);
    if (count == 0 || count > ARGUMENTS_MAX || json_string_length(json_array_get(command, 0)) == 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *argument = json_array_get(command, i);
        if (!json_is_string(argument) || strlen(json_string_value(argument)) != json_string_length(argument))
            return false;
    }
    return true;
}

static char **copy_command(const json_t *command)
{
    size_t count = json_array_size(command);
    char **copy = mem_alloc((count + 1) * sizeof *copy);
    for (size_t i = 0; i < count; i++)
        copy[i] = mem_strdup(json_string_value(json_array_get(command, i)));
    return copy;
}

static bool is_timeout(const json_t *timeout)
{
    return !timeout || (json_is_integer(timeout) && json_integer_value(timeout) >= 1 &&
                        json_integer_value(timeout) <= TIMEOUT_MAX_MS);
}

/* The key that is wrong, with what it must be; or NULL. */
static const char *check(const json_t *d, const char **what)
{
    size_t name_len = 0;
    const char *name = json_get_text(d, "name", &name_len);
    if (!name || !id_is_token(name, name_len)) {
        *what = "must be 1 to 64 letters, digits, _ or -";
        return "name";
    }
    if (!json_get_text(d, "description", NULL)) {
        *what = "must be a string";
        return "description";
    }
    if (!json_is_object(json_object_get(d, "parameters"))) {
        *what = "must be an object, a JSON schema";
        return "parameters";
    }
    if (!is_command(json_object_get(d, "command"))) {
        *what = "must be an array of 1 to 64 strings, the program first";
        return "command";
    }
    if (!is_timeout(json_object_get(d, "timeout_ms"))) {
        *what = "must be a whole number from 1 to 600000";
        return "timeout_ms";
    }
    *what = "is not known here";
    return unknown_key(d);
}

int command_file_tool(const json_t *description, size_t index, struct registry_tool *tool, char *reason,
                      size_t reason_size)
{
    const char *what;
    const char *wrong = check(description, &what);
    if (wrong)
        return command_file_fail(reason, reason_size, index, wrong, what);
    tool->name = mem_strdup(json_get_text(description, "name", NULL));
    tool->description = mem_strdup(json_get_text(description, "description", NULL));
    tool->schema = json_incref(json_object_get(description, "parameters"));
    struct buf parameters = {0};
    json_append(&parameters, tool->schema);
    tool->parameters = mem_strdup(parameters.data);
    buf_deinit(&parameters);
    tool->command = copy_command(json_object_get(description, "command"));
    tool->timeout_ms = json_get_int(description, "timeout_ms", 0);
    return ERR_NONE;
}
