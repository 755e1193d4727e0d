#include "images.h"

#include "json.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a file's first bytes look like in base64. */
static const struct {
    const char *begin, *type;
} types[] = {{"iVBORw0KGgo", "image/png"}, {"/9j/", "image/jpeg"}, {"R0lGOD", "image/gif"}, {"UklGR", "image/webp"}};

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_base64(const char *text)
{
    size_t digits = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    return digits > 0 && strspn(text + digits, "=") == strlen(text + digits);
}

/* With or without "data:<type>;base64," before it. NULL: no image. */
static char *url_of_base64(const char *base64)
{
    if (begins_with(base64, "data:image/"))
        return mem_strdup(base64);
    if (!is_base64(base64))
        return NULL;
    const char *type = types[0].type;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (begins_with(base64, types[i].begin))
            type = types[i].type;
    struct buf url = {0};
    buf_printf(&url, "data:%s;base64,", type);
    buf_append_text(&url, base64);
    return url.data;
}

static char *url_of(const json_t *component)
{
    const char *type = json_get_text(component, "type", NULL);
    const char *url = json_get_text(component, "url", NULL);
    const char *base64 = json_get_text(component, "base64", NULL);
    if (!type || strcmp(type, "Image") != 0)
        return NULL;
    if (url && (begins_with(url, "https://") || begins_with(url, "http://") || begins_with(url, "data:image/")))
        return mem_strdup(url);
    return base64 ? url_of_base64(base64) : NULL;
}

void images_init(struct images *images, const void *chain, size_t len)
{
    json_t *components;
    *images = (struct images){0};
    if (len == 0 || json_parse(chain, len, NULL, 0, &components))
        return;
    for (size_t i = 0; i < json_array_size(components) && images->count < IMAGES_MAX; i++) {
        char *url = url_of(json_array_get(components, i));
        if (url)
            images->urls[images->count++] = url;
    }
    json_decref(components);
}

void images_deinit(struct images *images)
{
    for (size_t i = 0; i < images->count; i++)
        free(images->urls[i]);
    *images = (struct images){0};
}
