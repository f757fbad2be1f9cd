/* What the example programs share: image files, golden images, time, and UTF-8 arguments. */
#ifndef CRYOSEG_HOST_H
#define CRYOSEG_HOST_H

#include "parts.h"

/* An array from a file: .npy as numpy.save writes it (uint8, uint16, float32), or a binary .pgm. */
typedef struct {
    char *memory;
    const void *values;
    int size, is_float; /* bytes of a value */
    int rank;
    int64_t dims[4];
} cryoseg_array;

int cryoseg_array_read(const char *path, cryoseg_array *array);
void cryoseg_array_free(cryoseg_array *array);
int cryoseg_write_pgm(const char *path, const uint8_t *mask, int height, int width);

/* Segments an image of two dimensions, as cryoseg_segment does. */
typedef int (*cryoseg_answer)(void *host, const cryoseg_array *image, double pixel_size, uint8_t *mask,
                              float *probability, int *status);

/* Compare a host with the bundle's golden images: a line of output for each, then one in all.
 * Returns whether all agree within the manifest's tolerance. */
int cryoseg_golden(const cryoseg_bundle *bundle, cryoseg_answer answer, void *host);

double cryoseg_milliseconds(void);
/* Return the program's arguments in UTF-8. */
char **cryoseg_arguments(int *count, char **values);

#endif
