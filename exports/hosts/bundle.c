/* The manifest of a bundle, and files that are what it says. */
#include <stdlib.h>
#include <string.h>

#include "cryoseg.h"
#include "parts.h"

enum { SCHEMA = 2, LARGEST_MANIFEST = 1 << 24, LARGEST_SIDE = 1 << 24, MOST_CLASSES = 256 };

static int damaged(const cryoseg_bundle *bundle, const char *name, const char *rule)
{
    return cryoseg_fail(CRYOSEG_BUNDLE, "%s is damaged: %s %s", bundle->manifest, name, rule);
}

/* Read a whole number from `low` to `high`. */
static int read_whole(const cryoseg_bundle *bundle, const char *name, int low, int high, int *result)
{
    const cryoseg_json *value = cryoseg_json_at(bundle->root, name);
    if (value == NULL || value->kind != CRYOSEG_NUMBER || !(value->number >= low && value->number <= high) ||
        value->number != (int)value->number) {
        char rule[64];
        snprintf(rule, sizeof rule, "is not a whole number from %d to %d", low, high);
        return damaged(bundle, name, rule);
    }
    *result = (int)value->number;
    return CRYOSEG_OK;
}

/* Read a number from 0 to 1. */
static int read_share(const cryoseg_bundle *bundle, const char *name, double *result)
{
    const cryoseg_json *value = cryoseg_json_at(bundle->root, name);
    if (value == NULL || value->kind != CRYOSEG_NUMBER || !(value->number >= 0 && value->number <= 1))
        return damaged(bundle, name, "is not a number from 0 to 1");
    *result = value->number;
    return CRYOSEG_OK;
}

static int read_schema(cryoseg_bundle *bundle)
{
    int version = 0, code = read_whole(bundle, "schema_version", 0, 1 << 30, &version);
    if (code == CRYOSEG_OK && version != SCHEMA)
        code = cryoseg_fail(CRYOSEG_BUNDLE, "%s was written by another cryoseg-tf (schema %d, known here: %d): %s",
                            bundle->folder, version, SCHEMA,
                            version > SCHEMA ? "use a newer library" : "export the run again");
    return code;
}

static int read_classes(cryoseg_bundle *bundle)
{
    const cryoseg_json *classes = cryoseg_json_at(bundle->root, "contract.classes");
    if (classes == NULL || classes->kind != CRYOSEG_ARRAY || classes->count < 2 || classes->count > MOST_CLASSES)
        return damaged(bundle, "contract.classes", "is not a list of 2 to 256 names");
    for (size_t i = 1; i <= classes->count; i++) /* each takes one place */
        if (classes[i].kind != CRYOSEG_STRING)
            return damaged(bundle, "contract.classes", "holds what is no name");
    int channels = classes->count == 2 ? 1 : (int)classes->count;
    bundle->classes = classes;
    return read_whole(bundle, "network.channels", channels, channels, &bundle->channels);
}

static int read_scale(cryoseg_bundle *bundle)
{
    const cryoseg_json *scale = cryoseg_json_at(bundle->root, "contract.scale");
    if (scale == NULL || scale->kind != CRYOSEG_STRING)
        return damaged(bundle, "contract.scale", "is not a name");
    bundle->scaled = strcmp(scale->text, "none") != 0;
    return CRYOSEG_OK;
}

static int read_network(cryoseg_bundle *bundle)
{
    int code = read_whole(bundle, "network.stride", 1, 4096, &bundle->stride);
    if (code == CRYOSEG_OK)
        code = read_whole(bundle, "network.tile", 1, LARGEST_SIDE, &bundle->tile);
    const cryoseg_json *halo = cryoseg_json_at(bundle->root, "network.halo");
    if (code == CRYOSEG_OK && halo != NULL && halo->kind == CRYOSEG_NULL) {
        bundle->halo = -1;
        return code;
    }
    if (code == CRYOSEG_OK)
        code = read_whole(bundle, "network.halo", 0, LARGEST_SIDE, &bundle->halo);
    if (code == CRYOSEG_OK && bundle->halo % bundle->stride != 0)
        code = damaged(bundle, "network.halo", "is not a multiple of network.stride");
    return code;
}

static int read_manifest(cryoseg_bundle *bundle)
{
    double threshold = 0;
    size_t size = 0, wrong = 0;
    int code = cryoseg_read(bundle->manifest, LARGEST_MANIFEST, &bundle->text, &size);
    if (code != CRYOSEG_OK)
        return code;
    bundle->root = cryoseg_json_parse(bundle->text, size, &wrong);
    if (bundle->root == NULL)
        return cryoseg_fail(CRYOSEG_BUNDLE, "%s is damaged: no JSON at byte %lu", bundle->manifest,
                            (unsigned long)wrong);
    if ((code = read_schema(bundle)) || (code = read_classes(bundle)) || (code = read_scale(bundle)) ||
        (code = read_network(bundle)) || (code = read_share(bundle, "contract.threshold", &threshold)) ||
        (code = read_share(bundle, "tolerances.probability", &bundle->tolerance)))
        return code;
    bundle->threshold = (float)threshold; /* as TensorFlow compares */
    return CRYOSEG_OK;
}

int cryoseg_bundle_open(const char *folder, cryoseg_bundle *bundle)
{
    memset(bundle, 0, sizeof *bundle);
    bundle->folder = malloc(strlen(folder) + 1);
    bundle->manifest = cryoseg_join(folder, "manifest.json");
    if (bundle->folder == NULL || bundle->manifest == NULL)
        return cryoseg_fail(CRYOSEG_MEMORY, "there is not enough memory to open %s", folder);
    strcpy(bundle->folder, folder);
    FILE *file = cryoseg_file(bundle->manifest, "rb");
    if (file == NULL)
        return cryoseg_fail(CRYOSEG_BUNDLE, "%s is not a bundle: it holds no manifest.json that can be read", folder);
    fclose(file);
    return read_manifest(bundle);
}

void cryoseg_bundle_close(cryoseg_bundle *bundle)
{
    free(bundle->folder);
    free(bundle->manifest);
    free(bundle->text);
    free(bundle->root);
    memset(bundle, 0, sizeof *bundle);
}

/* Whether a name stays inside the bundle on every system. */
static int is_inside(const char *name)
{
    if (*name == 0 || strchr(name, '\\') || strchr(name, ':'))
        return 0;
    for (const char *part = name; part != NULL; part = strchr(part, '/')) {
        part += *part == '/' && part != name;
        size_t length = strcspn(part, "/");
        if (length == 0 || (length == 2 && strncmp(part, "..", 2) == 0))
            return 0;
    }
    return 1;
}

int cryoseg_bundle_path(const cryoseg_bundle *bundle, const char *name, char **path)
{
    if (!is_inside(name))
        return cryoseg_fail(CRYOSEG_BUNDLE, "%s names %s, which is not inside the bundle", bundle->manifest, name);
    *path = cryoseg_join(bundle->folder, name);
    return *path ? CRYOSEG_OK : cryoseg_fail(CRYOSEG_MEMORY, "there is not enough memory to open %s", name);
}

int cryoseg_bundle_find(const cryoseg_bundle *bundle, const char *format, const char *what, char **path)
{
    const cryoseg_json *files = cryoseg_json_member(cryoseg_json_at(bundle->root, "formats"), format);
    if (files == NULL)
        return cryoseg_fail(CRYOSEG_BUNDLE, "%s holds no %s: export it with --to %s", bundle->folder, format, format);
    const cryoseg_json *name = cryoseg_json_member(files, what);
    if (name == NULL || name->kind != CRYOSEG_STRING)
        return cryoseg_fail(CRYOSEG_BUNDLE, "%s holds no %s as %s", bundle->folder, what, format);
    return cryoseg_bundle_path(bundle, name->text, path);
}

int cryoseg_bundle_check(const cryoseg_bundle *bundle, const char *name)
{
    const cryoseg_json *wanted = cryoseg_json_member(cryoseg_json_at(bundle->root, "files"), name);
    if (wanted == NULL || wanted->kind != CRYOSEG_STRING)
        return damaged(bundle, name, "has no SHA-256 in files");
    char *path = NULL, found[CRYOSEG_SHA256_LENGTH + 1];
    int code = cryoseg_bundle_path(bundle, name, &path);
    if (code != CRYOSEG_OK)
        return code;
    FILE *file = cryoseg_file(path, "rb");
    if (file == NULL)
        code = cryoseg_fail(CRYOSEG_BUNDLE, "%s is missing or cannot be read: copy it again", path);
    else if (!cryoseg_sha256(file, found))
        code = cryoseg_fail(CRYOSEG_BUNDLE, "%s cannot be read", path);
    else if (strcmp(found, wanted->text) != 0)
        code = cryoseg_fail(CRYOSEG_BUNDLE, "%s is damaged: its SHA-256 is not the manifest's; copy it again", path);
    if (file != NULL)
        fclose(file);
    free(path);
    return code;
}
