/* Segment an image file, or compare this computer with the bundle's golden images; an example of cryoseg.h.
 *
 *     segment BUNDLE IMAGE.npy|IMAGE.pgm OUT.pgm [PIXEL_SIZE [THREADS]]
 *     segment BUNDLE --golden [THREADS]
 *
 * Exit codes: 0 done, 1 a golden image differs, 2 wrong use or bad input.
 */
#include <stdlib.h>
#include <string.h>

#include "cryoseg.h"
#include "host.h"

static int complain(const char *text)
{
    fprintf(stderr, "segment: %s\n", text);
    return 2;
}

/* Read a whole argument as a number, at least 0. */
static int read_number(const char *text, double *number)
{
    char *end;
    *number = strtod(text, &end);
    return end != text && *end == '\0' && *number >= 0 && *number < 1e12;
}

static const char *meaning(int status)
{
    static const char *const words[] = {"ok", "pixel size unknown: the mask is empty",
                                        "pixel size out of range: the mask is empty", "too small: the mask is empty",
                                        "low contrast: look at the mask", "not finite: the mask is empty"};
    return status >= 0 && status < 6 ? words[status] : "unknown";
}

static int answer(void *host, const cryoseg_array *image, double pixel_size, uint8_t *mask, float *probability,
                  int *status)
{
    int height = (int)image->dims[0], width = (int)image->dims[1];
    return cryoseg_segment(host, image->values, image->size, height, width, (size_t)width * (size_t)image->size,
                           pixel_size, mask, probability, status);
}

static int compare_golden(cryoseg *model, const char *folder)
{
    cryoseg_bundle bundle;
    int good = cryoseg_bundle_open(folder, &bundle) == CRYOSEG_OK && cryoseg_golden(&bundle, answer, model);
    cryoseg_bundle_close(&bundle);
    if (!good)
        fprintf(stderr, "segment: %s\n", *cryoseg_last_error() ? cryoseg_last_error() : cryoseg_failure());
    return good ? 0 : 1;
}

static void report(const cryoseg *model, const uint8_t *mask, size_t pixels, int status, double took)
{
    printf("status %d (%s), %.1f ms\n", status, meaning(status), took);
    for (int i = 0; i < cryoseg_classes(model); i++) {
        size_t count = 0;
        for (size_t at = 0; at < pixels; at++)
            count += mask[at] == i;
        printf("%s: %.1f %%\n", cryoseg_class_name(model, i), 100.0 * (double)count / (double)pixels);
    }
}

static int segment_image(cryoseg *model, const cryoseg_array *image, double pixel_size, const char *out)
{
    if (image->rank != 2 || image->dims[0] > 1 << 30 || image->dims[1] > 1 << 30)
        return complain("the image must have two dimensions");
    size_t pixels = (size_t)(image->dims[0] * image->dims[1]);
    uint8_t *mask = malloc(pixels);
    if (mask == NULL)
        return complain("there is not enough memory for the mask");
    int status, code = 0;
    double start = cryoseg_milliseconds();
    if (answer(model, image, pixel_size, mask, NULL, &status) != CRYOSEG_OK)
        code = complain(cryoseg_last_error());
    else if (cryoseg_write_pgm(out, mask, (int)image->dims[0], (int)image->dims[1]) != CRYOSEG_OK)
        code = complain(cryoseg_failure());
    else
        report(model, mask, pixels, status, cryoseg_milliseconds() - start);
    free(mask);
    return code;
}

static int segment_file(cryoseg *model, int count, char **values)
{
    cryoseg_array image;
    if (cryoseg_array_read(values[2], &image) != CRYOSEG_OK)
        return complain(cryoseg_failure());
    double pixel_size = 0.0;
    if (count > 4)
        read_number(values[4], &pixel_size);
    int code = segment_image(model, &image, pixel_size, values[3]);
    cryoseg_array_free(&image);
    return code;
}

int main(int count, char **values)
{
    values = cryoseg_arguments(&count, values);
    int golden = count > 2 && strcmp(values[2], "--golden") == 0;
    if (count < 3 + !golden)
        return complain("BUNDLE IMAGE.npy|IMAGE.pgm OUT.pgm [PIXEL_SIZE [THREADS]], or BUNDLE --golden [THREADS]");
    int last = golden ? 3 : 5;
    double pixel_size, threads = 0;
    if (!golden && count > 4 && !read_number(values[4], &pixel_size))
        return complain("PIXEL_SIZE must be a number in nm; 0 = unknown");
    if (count > last && (!read_number(values[last], &threads) || threads > 4096 || threads != (int)threads))
        return complain("THREADS must be a whole number; 0 = one per core");
    cryoseg *model;
    double start = cryoseg_milliseconds();
    if (cryoseg_open(values[1], (int)threads, &model) != CRYOSEG_OK)
        return complain(cryoseg_last_error());
    printf("opened in %.0f ms\n", cryoseg_milliseconds() - start);
    int code = golden ? compare_golden(model, values[1]) : segment_file(model, count, values);
    cryoseg_close(model);
    return code;
}
