/* From raw counts to a mask. The steps are those of cryoseg_tf/segmentation/segmenter.py:
 *
 *     image -- statistics --> offset, scale, status, shape
 *     image -- resample(shape) -- (x - offset) * scale -- pad -- tiles -- network -- cores pasted
 *           -- resample(the image's own shape) --> probability >= threshold, or argmax
 */
#include "steps.h"

#include <stdlib.h>
#include <string.h>

#include "cryoseg.h"

typedef struct {
    float offset, scale;
    int status;
    int64_t height, width; /* at the network's scale */
} facts;

int cryoseg_too_large(const cryoseg_picture *image)
{
    return cryoseg_fail(CRYOSEG_MEMORY, "there is not enough memory for an image of %ld x %ld pixels",
                        (long)image->width, (long)image->height);
}

float *cryoseg_floats(int64_t height, int64_t width, int64_t channels)
{
    return malloc((size_t)height * (size_t)width * (size_t)channels * sizeof(float));
}

static ov_shape_t shape_of(int64_t dims[4], const cryoseg_picture *image)
{
    dims[0] = 1;
    dims[1] = image->height;
    dims[2] = image->width;
    dims[3] = image->channels;
    return (ov_shape_t){4, dims};
}

static int is_empty(int status)
{
    return status != CRYOSEG_STATUS_OK && status != CRYOSEG_STATUS_LOW_CONTRAST;
}

static int examine(const cryoseg *model, const cryoseg_picture *image, float pixel_size, facts *found)
{
    int64_t dims[4];
    ov_shape_t shape = shape_of(dims, image), scalar = {0, dims};
    shape.rank = 3;
    cryoseg_run run = cryoseg_run_begin(model->statistics);
    cryoseg_run_input(&run, "image", F32, shape, image->values);
    cryoseg_run_input(&run, "pixel_size", F32, scalar, &pixel_size);
    cryoseg_run_infer(&run);
    const float *offset = cryoseg_run_output(&run, "offset", F32, 1);
    const float *scale = cryoseg_run_output(&run, "scale", F32, 1);
    const int32_t *status = cryoseg_run_output(&run, "status", I32, 1);
    const int32_t *size = cryoseg_run_output(&run, "shape", I32, 2);
    if (run.code == CRYOSEG_OK)
        *found = (facts){*offset, *scale, *status, size[0], size[1]};
    if (run.code == CRYOSEG_OK && (size[0] < 1 || size[1] < 1))
        run.code = cryoseg_fail(CRYOSEG_BUNDLE, "the model would scale the image to %d x %d", size[1], size[0]);
    return cryoseg_run_end(&run);
}

/* Bring an image to the height and width of another one. */
static int resample(const cryoseg *model, const cryoseg_picture *image, const cryoseg_picture *result)
{
    if (model->resample == NULL)
        return cryoseg_fail(CRYOSEG_BUNDLE, "the model scales images, but its contract.scale is none");
    int64_t dims[4], two = 2;
    int32_t size[2] = {(int32_t)result->height, (int32_t)result->width};
    size_t count = (size_t)result->height * (size_t)result->width * (size_t)result->channels;
    cryoseg_run run = cryoseg_run_begin(model->resample);
    cryoseg_run_input(&run, "images", F32, shape_of(dims, image), image->values);
    cryoseg_run_input(&run, "shape", I32, (ov_shape_t){1, &two}, size);
    cryoseg_run_infer(&run);
    const float *values = cryoseg_run_output(&run, "resampled", F32, count);
    if (values != NULL)
        memcpy(result->values, values, count * sizeof *values);
    return cryoseg_run_end(&run);
}

static uint8_t decided(const float *probability, int channels, float threshold)
{
    if (channels == 1)
        return probability[0] >= threshold;
    int best = 0;
    for (int i = 1; i < channels; i++)
        if (probability[i] > probability[best])
            best = i;
    return (uint8_t)best;
}

/* Put probabilities of successive pixels on the canvas. */
static void paste(const cryoseg_canvas *target, int64_t start, const float *values, int64_t count)
{
    int channels = target->channels;
    if (target->probability != NULL)
        memcpy(target->probability + start * channels, values, (size_t)(count * channels) * sizeof *values);
    for (int64_t i = 0; target->mask != NULL && i < count; i++)
        target->mask[start + i] = decided(values + i * channels, channels, target->threshold);
}

/* Read a window, normalised; beyond the image its last row and column repeat. */
static void read_window(const cryoseg_picture *image, const facts *found, int64_t top, int64_t left,
                        const cryoseg_picture *tile)
{
    for (int64_t y = 0; y < tile->height; y++) {
        int64_t row = top + y < image->height ? top + y : image->height - 1;
        const float *from = image->values + row * image->width;
        float *to = tile->values + y * tile->width;
        for (int64_t x = 0; x < tile->width; x++) {
            int64_t column = left + x < image->width ? left + x : image->width - 1;
            to[x] = (from[column] - found->offset) * found->scale;
        }
    }
}

/* Put a tile's core on the canvas; `width` is the tile's. */
static void paste_core(const cryoseg_canvas *target, cryoseg_span rows, cryoseg_span columns, const float *values,
                       int64_t width)
{
    int64_t bottom = rows.end < target->height ? rows.end : target->height;
    int64_t right = columns.end < target->width ? columns.end : target->width;
    for (int64_t y = rows.write; y < bottom && columns.write < right; y++) {
        int64_t at = (y - rows.read) * width + columns.write - columns.read;
        paste(target, y * target->width + columns.write, values + at * target->channels, right - columns.write);
    }
}

static cryoseg_layout plan(const cryoseg_bundle *bundle, int64_t side)
{
    int64_t stride = bundle->stride, padded = (side + stride - 1) / stride * stride;
    if (bundle->halo < 0)
        return cryoseg_layout_of(padded, padded, 0, stride);
    int64_t window = (bundle->tile + stride - 1) / stride * stride;
    /* three halos, lest a network that sees far leaves hardly any core */
    window = window < 3 * (int64_t)bundle->halo ? 3 * (int64_t)bundle->halo : window;
    return cryoseg_layout_of(padded, window, bundle->halo, stride);
}

/* Run the network over an image at its scale, tile by tile. */
static int predict(const cryoseg *model, const cryoseg_picture *image, const facts *found, const cryoseg_canvas *target)
{
    cryoseg_layout down = plan(&model->bundle, image->height), across = plan(&model->bundle, image->width);
    cryoseg_picture tile = {cryoseg_floats(down.window, across.window, 1), down.window, across.window, 1};
    if (tile.values == NULL)
        return cryoseg_too_large(image);
    int64_t dims[4];
    size_t count = (size_t)tile.height * (size_t)tile.width * (size_t)model->bundle.channels;
    cryoseg_run run = cryoseg_run_begin(model->network);
    cryoseg_run_input(&run, "tile", F32, shape_of(dims, &tile), tile.values);
    for (int64_t i = 0; run.code == CRYOSEG_OK && i < down.count * across.count; i++) {
        cryoseg_span rows = cryoseg_span_at(&down, i / across.count);
        cryoseg_span columns = cryoseg_span_at(&across, i % across.count);
        read_window(image, found, rows.read, columns.read, &tile);
        cryoseg_run_infer(&run);
        const float *values = cryoseg_run_output(&run, "probability", F32, count);
        if (values != NULL)
            paste_core(target, rows, columns, values, tile.width);
    }
    int code = cryoseg_run_end(&run);
    free(tile.values);
    return code;
}

/* Segment an image that has to be scaled: the decision comes after the way back. */
static int predict_scaled(const cryoseg *model, const cryoseg_picture *image, const facts *found,
                          const cryoseg_canvas *target)
{
    int64_t height = found->height, width = found->width, channels = target->channels;
    cryoseg_picture shown = {cryoseg_floats(height, width, 1), height, width, 1};
    cryoseg_picture answer = {cryoseg_floats(height, width, channels), height, width, channels};
    cryoseg_picture back = {target->probability, image->height, image->width, channels};
    cryoseg_canvas small = {NULL, answer.values, height, width, target->channels, 0};
    cryoseg_canvas decision = *target;
    decision.probability = NULL;
    if (back.values == NULL)
        back.values = cryoseg_floats(image->height, image->width, channels);
    int code = shown.values && answer.values && back.values ? CRYOSEG_OK : cryoseg_too_large(image);
    if (code == CRYOSEG_OK)
        code = resample(model, image, &shown);
    if (code == CRYOSEG_OK)
        code = predict(model, &shown, found, &small);
    if (code == CRYOSEG_OK)
        code = resample(model, &answer, &back);
    if (code == CRYOSEG_OK)
        paste(&decision, 0, back.values, image->height * image->width);
    free(shown.values);
    free(answer.values);
    if (back.values != target->probability)
        free(back.values);
    return code;
}

void cryoseg_background(const cryoseg_canvas *target)
{
    int64_t area = target->height * target->width, channels = target->channels;
    memset(target->mask, 0, (size_t)area);
    for (int64_t i = 0; target->probability != NULL && i < area * channels; i++)
        target->probability[i] = channels > 1 && i % channels == 0;
}

int cryoseg_steps(const cryoseg *model, const cryoseg_picture *image, float pixel_size, const cryoseg_canvas *target,
                  int *status)
{
    facts found = {0};
    int code = examine(model, image, pixel_size, &found);
    if (code == CRYOSEG_OK && !is_empty(found.status)) {
        int same = found.height == image->height && found.width == image->width;
        code = (same ? predict : predict_scaled)(model, image, &found, target);
    }
    if (code == CRYOSEG_OK)
        *status = found.status;
    if (code != CRYOSEG_OK || is_empty(found.status))
        cryoseg_background(target);
    return code;
}
