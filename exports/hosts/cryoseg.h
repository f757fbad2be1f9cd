/* Masks from raw micrographs: a C library that runs a bundle of cryoseg-tf on a CPU, by OpenVINO.
 *
 *     cryoseg *model;
 *     if (cryoseg_open("cells.cryoseg", 0, &model) != CRYOSEG_OK)
 *         puts(cryoseg_last_error());
 *     ...
 *     cryoseg_segment(model, pixels, CRYOSEG_UINT16, height, width, stride, 200.0, mask, NULL, &status);
 *     cryoseg_close(model);
 *
 * Threads. Any thread may call any function. A model may be used by several threads at the same time
 * (their calls take turns in the network), but it must be closed by one, after the others are done.
 * The library itself starts no thread. OpenVINO keeps a pool of workers in the process, one per core at
 * most, which all models share, and for each model four to six threads that wait and hand work on.
 * `threads` of cryoseg_open bounds how many work on an image. They are pinned to no core.
 *
 * Text is UTF-8 everywhere, also in paths on Windows. The locale does not matter.
 */
#ifndef CRYOSEG_H
#define CRYOSEG_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32) && defined(CRYOSEG_BUILD)
#define CRYOSEG_API __declspec(dllexport)
#elif defined(__GNUC__)
#define CRYOSEG_API __attribute__((visibility("default")))
#else
#define CRYOSEG_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What a function returns; anything but CRYOSEG_OK comes with a text, see cryoseg_last_error. */
enum cryoseg_code {
    CRYOSEG_OK = 0,
    CRYOSEG_ARGUMENT = 1, /* an argument is wrong: a fault of the caller */
    CRYOSEG_BUNDLE = 2,   /* the bundle is missing, incomplete, damaged, or of another version */
    CRYOSEG_RUNTIME = 3,  /* OpenVINO could not do it */
    CRYOSEG_MEMORY = 4    /* there is not enough memory */
};

/* The type of a pixel; the number is its size in bytes. Counts are in the machine's byte order. */
enum cryoseg_type { CRYOSEG_UINT8 = 1, CRYOSEG_UINT16 = 2, CRYOSEG_FLOAT32 = 4 };

/* What was found about an image. With 1, 2, 3 and 5 its mask is empty: a guess would be worse. */
enum cryoseg_status {
    CRYOSEG_STATUS_OK = 0,
    CRYOSEG_STATUS_PIXEL_SIZE_UNKNOWN = 1,
    CRYOSEG_STATUS_PIXEL_SIZE_OUT_OF_RANGE = 2,
    CRYOSEG_STATUS_TOO_SMALL = 3,
    CRYOSEG_STATUS_LOW_CONTRAST = 4, /* there is a mask, but probably nothing to see */
    CRYOSEG_STATUS_NOT_FINITE = 5    /* a pixel is NaN, or beyond 1e30 */
};

typedef struct cryoseg cryoseg;

/* Load a bundle's network in float32. Every file that is loaded must have the SHA-256 that the manifest
 * states. This takes a second or so; keep the model.
 *
 *   bundle   The folder.
 *   threads  How many work on an image; 0: one per core.
 *   model    Is set to the model, or to NULL on an error.
 */
CRYOSEG_API int cryoseg_open(const char *bundle, int threads, cryoseg **model);

/* Segment one image, a detector's raw counts.
 *
 *   pixels       height rows of width pixels.
 *   type         A cryoseg_type.
 *   stride       Bytes from one row to the next.
 *   pixel_size   In nm; 0: unknown. A model that does not ask for it ignores it.
 *   mask         height * width class indices, row by row without gaps.
 *   probability  height * width * channels floats likewise, channels innermost; or NULL.
 *   status       Is set to a cryoseg_status.
 *
 * Large images are cut into overlapping tiles; the mask is that of the whole image. Beside the caller's
 * arrays this takes what the network needs for one tile, and about 15 bytes per pixel; where the image is
 * not at the network's scale, about 90 bytes per pixel of the larger of the two sizes. The first image of
 * another size takes longer. On an error the status is -1 and the mask all 0; after CRYOSEG_ARGUMENT it is not touched.
 */
CRYOSEG_API int cryoseg_segment(const cryoseg *model, const void *pixels, int type, int height, int width,
                                size_t stride, double pixel_size, uint8_t *mask, float *probability, int *status);

/* Free a model; NULL is fine. */
CRYOSEG_API void cryoseg_close(cryoseg *model);

/* Why the last call in this thread that failed did so; valid until another call in it fails. */
CRYOSEG_API const char *cryoseg_last_error(void);

/* How many classes there are, background included; 0 if model is NULL. */
CRYOSEG_API int cryoseg_classes(const cryoseg *model);

/* The name of a class, valid until the model is closed; NULL if there is none of this index. */
CRYOSEG_API const char *cryoseg_class_name(const cryoseg *model, int index);

/* Floats per pixel of `probability`: 1 with two classes (the foreground's), else one per class. */
CRYOSEG_API int cryoseg_channels(const cryoseg *model);

#ifdef __cplusplus
}
#endif
#endif
