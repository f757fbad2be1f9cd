/* What a model is, and the way from an image to a mask. */
#ifndef CRYOSEG_STEPS_H
#define CRYOSEG_STEPS_H

#include "graph.h"
#include "parts.h"

struct cryoseg {
    cryoseg_bundle bundle;
    ov_core_t *core;
    ov_compiled_model_t *statistics, *resample, *network;
};

typedef struct {
    float *values; /* rows, columns, channels */
    int64_t height, width, channels;
} cryoseg_picture;

/* Where predictions go; either may be NULL. */
typedef struct {
    uint8_t *mask;
    float *probability;
    int64_t height, width;
    int channels;
    float threshold;
} cryoseg_canvas;

/* Segment an image; after an error the canvas shows background. */
int cryoseg_steps(const struct cryoseg *model, const cryoseg_picture *image, float pixel_size,
                  const cryoseg_canvas *target, int *status);
void cryoseg_background(const cryoseg_canvas *target);

/* Memory for an image, to be freed; NULL if there is none. */
float *cryoseg_floats(int64_t height, int64_t width, int64_t channels);
int cryoseg_too_large(const cryoseg_picture *image);

#endif
