/* The library's functions: what they are given is checked here, and nowhere else. */
#include "cryoseg.h"

#include <stdlib.h>
#include <string.h>

#include "steps.h"

enum { MOST_THREADS = 1024, LARGEST_AREA_LOG2 = 36 };

static void read_row(float *to, const unsigned char *from, int type, int width)
{
    for (int x = 0; x < width; x++, from += type) {
        uint16_t count;
        if (type == CRYOSEG_FLOAT32) {
            memcpy(to + x, from, sizeof *to);
        } else if (type == CRYOSEG_UINT16) {
            memcpy(&count, from, sizeof count); /* a row may begin at any byte */
            to[x] = count;
        } else {
            to[x] = *from;
        }
    }
}

static int check_image(const void *pixels, int type, int height, int width, size_t stride)
{
    if (pixels == NULL)
        return cryoseg_fail(CRYOSEG_ARGUMENT, "pixels is NULL");
    if (type != CRYOSEG_UINT8 && type != CRYOSEG_UINT16 && type != CRYOSEG_FLOAT32)
        return cryoseg_fail(CRYOSEG_ARGUMENT, "type is %d: it must be 1 (uint8), 2 (uint16) or 4 (float32)", type);
    if (height < 1 || width < 1 || (int64_t)height * width >> LARGEST_AREA_LOG2)
        return cryoseg_fail(CRYOSEG_ARGUMENT, "the image is %d x %d: it must hold 1 to 2^%d pixels", width, height,
                            LARGEST_AREA_LOG2);
    if (stride < (size_t)width * (size_t)type)
        return cryoseg_fail(CRYOSEG_ARGUMENT, "stride is %lu bytes: a row of %d pixels takes %lu",
                            (unsigned long)stride, width, (unsigned long)width * (unsigned long)type);
    return CRYOSEG_OK;
}

int cryoseg_segment(const cryoseg *model, const void *pixels, int type, int height, int width, size_t stride,
                    double pixel_size, uint8_t *mask, float *probability, int *status)
{
    if (model == NULL || mask == NULL || status == NULL)
        return cryoseg_fail(CRYOSEG_ARGUMENT, "%s is NULL", !model ? "model" : !mask ? "mask" : "status");
    *status = -1;
    int code = check_image(pixels, type, height, width, stride);
    if (code != CRYOSEG_OK)
        return code;
    cryoseg_canvas target = {mask, probability, height, width, model->bundle.channels, model->bundle.threshold};
    cryoseg_picture image = {cryoseg_floats(height, width, 1), height, width, 1};
    if (image.values == NULL) {
        cryoseg_background(&target);
        return cryoseg_too_large(&image);
    }
    for (int y = 0; y < height; y++)
        read_row(image.values + (int64_t)y * width, (const unsigned char *)pixels + y * stride, type, width);
    code = cryoseg_steps(model, &image, (float)pixel_size, &target, status);
    free(image.values);
    return code;
}

/* Load a graph whose file, and that of its weights beside it, are what the manifest says. */
static int load(const cryoseg *model, const char *what, int threads, ov_compiled_model_t **graph)
{
    char *path = NULL;
    int code = cryoseg_bundle_find(&model->bundle, "openvino", what, &path);
    if (code != CRYOSEG_OK)
        return code;
    char *name = path + strlen(model->bundle.folder) + 1;
    size_t length = strlen(name);
    char *suffix = name + (length > 4 ? length - 4 : 0);
    if (strcmp(suffix, ".xml") != 0)
        code = cryoseg_fail(CRYOSEG_BUNDLE, "%s is damaged: %s should end in .xml", model->bundle.manifest, name);
    if (code == CRYOSEG_OK)
        code = cryoseg_bundle_check(&model->bundle, name);
    if (code == CRYOSEG_OK) {
        strcpy(suffix, ".bin");
        code = cryoseg_bundle_check(&model->bundle, name);
        strcpy(suffix, ".xml");
    }
    if (code == CRYOSEG_OK)
        code = cryoseg_graph_load(model->core, path, threads, graph);
    free(path);
    return code;
}

int cryoseg_open(const char *bundle, int threads, cryoseg **model)
{
    if (model == NULL || bundle == NULL)
        return cryoseg_fail(CRYOSEG_ARGUMENT, "%s is NULL", model == NULL ? "model" : "bundle");
    *model = NULL;
    if (threads < 0 || threads > MOST_THREADS)
        return cryoseg_fail(CRYOSEG_ARGUMENT, "threads is %d: it must be between 0 and %d", threads, MOST_THREADS);
    cryoseg *made = calloc(1, sizeof *made);
    if (made == NULL)
        return cryoseg_fail(CRYOSEG_MEMORY, "there is not enough memory to open %s", bundle);
    int code = cryoseg_bundle_open(bundle, &made->bundle);
    if (code == CRYOSEG_OK)
        code = cryoseg_core_create(&made->core);
    if (code == CRYOSEG_OK)
        code = load(made, "statistics", threads, &made->statistics);
    if (code == CRYOSEG_OK && made->bundle.scaled)
        code = load(made, "resample", threads, &made->resample);
    if (code == CRYOSEG_OK)
        code = load(made, "float32", threads, &made->network);
    if (code == CRYOSEG_OK)
        *model = made;
    else
        cryoseg_close(made);
    return code;
}

void cryoseg_close(cryoseg *model)
{
    if (model == NULL)
        return;
    ov_compiled_model_free(model->statistics);
    ov_compiled_model_free(model->resample);
    ov_compiled_model_free(model->network);
    ov_core_free(model->core);
    cryoseg_bundle_close(&model->bundle);
    free(model);
}

const char *cryoseg_last_error(void)
{
    return cryoseg_failure();
}

int cryoseg_classes(const cryoseg *model)
{
    return model == NULL ? 0 : (int)model->bundle.classes->count;
}

const char *cryoseg_class_name(const cryoseg *model, int index)
{
    /* the names follow the list that holds them */
    return index < 0 || index >= cryoseg_classes(model) ? NULL : model->bundle.classes[1 + index].text;
}

int cryoseg_channels(const cryoseg *model)
{
    return model == NULL ? 0 : model->bundle.channels;
}
