/* Compare a host with what the trained model makes of the bundle's golden images. */
#ifndef _WIN32
#define _POSIX_C_SOURCE 199309L
#endif
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cryoseg.h"
#include "host.h"

#ifdef _WIN32
#include <windows.h>
#include <shellapi.h>
#else
#include <time.h>
#endif

typedef struct {
    const char *name;
    double pixel_size, status;
    cryoseg_array image, mask, probability;
} golden;

static int read_file(const cryoseg_bundle *bundle, const cryoseg_json *entry, const char *what, cryoseg_array *array)
{
    const cryoseg_json *name = cryoseg_json_member(entry, what);
    char *path = NULL;
    if (name == NULL || name->kind != CRYOSEG_STRING)
        return cryoseg_fail(CRYOSEG_BUNDLE, "%s is damaged: golden: %s is no name", bundle->manifest, what);
    int code = cryoseg_bundle_check(bundle, name->text);
    if (code == CRYOSEG_OK)
        code = cryoseg_bundle_path(bundle, name->text, &path);
    if (code == CRYOSEG_OK)
        code = cryoseg_array_read(path, array);
    free(path);
    return code;
}

static void free_case(golden *one)
{
    cryoseg_array_free(&one->image);
    cryoseg_array_free(&one->mask);
    cryoseg_array_free(&one->probability);
}

static int read_case(const cryoseg_bundle *bundle, const cryoseg_json *entry, golden *one)
{
    const cryoseg_json *name = cryoseg_json_member(entry, "name"), *size = cryoseg_json_member(entry, "pixel_size");
    const cryoseg_json *status = cryoseg_json_member(entry, "status");
    memset(one, 0, sizeof *one);
    if (!name || name->kind != CRYOSEG_STRING || !size || size->kind != CRYOSEG_NUMBER || !status ||
        status->kind != CRYOSEG_NUMBER)
        return cryoseg_fail(CRYOSEG_BUNDLE, "%s is damaged: golden", bundle->manifest);
    one->name = name->text;
    one->pixel_size = size->number;
    one->status = status->number;
    int code = read_file(bundle, entry, "image", &one->image);
    if (code == CRYOSEG_OK)
        code = read_file(bundle, entry, "mask", &one->mask);
    if (code == CRYOSEG_OK)
        code = read_file(bundle, entry, "probability", &one->probability);
    const int64_t *dims = one->image.dims;
    if (code == CRYOSEG_OK && (one->image.rank != 2 || one->mask.rank != 2 || one->mask.size != 1 ||
                               memcmp(dims, one->mask.dims, 2 * sizeof *dims) != 0 || one->probability.rank != 3 ||
                               memcmp(dims, one->probability.dims, 2 * sizeof *dims) != 0 ||
                               one->probability.dims[2] != bundle->channels || !one->probability.is_float))
        code = cryoseg_fail(CRYOSEG_BUNDLE, "%s is damaged: the files of golden image %s do not fit each other",
                            bundle->folder, one->name);
    if (code != CRYOSEG_OK)
        free_case(one);
    return code;
}

/* Whether a pixel of another class is excused: the trained model itself was as near to the decision. */
static int is_near(const cryoseg_bundle *bundle, const float *probability, int wanted, int found)
{
    if (bundle->channels == 1)
        return fabs((double)probability[0] - (double)bundle->threshold) <= bundle->tolerance;
    /* both classes may be off */
    return found < bundle->channels && probability[wanted] - probability[found] <= 2 * bundle->tolerance;
}

/* Compare an answer with a golden one, and say so. */
static int compare(const cryoseg_bundle *bundle, const golden *one, const uint8_t *mask, const float *probability)
{
    const float *wanted = one->probability.values;
    const uint8_t *classes = one->mask.values;
    int64_t pixels = one->image.dims[0] * one->image.dims[1], other = 0, wrong = 0;
    double worst = 0;
    for (int64_t i = 0; i < pixels * bundle->channels; i++) {
        double off = fabs((double)probability[i] - (double)wanted[i]);
        worst = off >= worst ? off : isnan(off) ? INFINITY : worst;
    }
    for (int64_t i = 0; i < pixels; i++) {
        if (mask[i] == classes[i])
            continue;
        other++;
        wrong += !is_near(bundle, wanted + i * bundle->channels, classes[i], mask[i]);
    }
    printf("|dp| %.1e  %ld of %ld pixels differ", worst, (long)other, (long)pixels);
    return worst <= bundle->tolerance && wrong == 0;
}

/* Run one case; 1: agrees, 0: does not. */
static int run_case(const cryoseg_bundle *bundle, const golden *one, cryoseg_answer answer, void *host)
{
    size_t pixels = (size_t)(one->image.dims[0] * one->image.dims[1]);
    uint8_t *mask = malloc(pixels);
    float *probability = malloc(pixels * (size_t)bundle->channels * sizeof *probability);
    int status = -1, good = 0, code = CRYOSEG_MEMORY;
    double start = cryoseg_milliseconds();
    if (mask != NULL && probability != NULL)
        code = answer(host, &one->image, one->pixel_size, mask, probability, &status);
    double took = cryoseg_milliseconds() - start;
    printf("%-20s ", one->name);
    if (code == CRYOSEG_OK) {
        good = compare(bundle, one, mask, probability) && status == one->status;
        printf("  status %d  %.1f ms%s\n", status, took, good ? "" : "  DIFFERS");
    } else {
        printf("FAILED\n");
    }
    free(mask);
    free(probability);
    return good;
}

int cryoseg_golden(const cryoseg_bundle *bundle, cryoseg_answer answer, void *host)
{
    const cryoseg_json *cases = cryoseg_json_at(bundle->root, "golden");
    if (cases == NULL || cases->kind != CRYOSEG_ARRAY || cases->count == 0)
        return cryoseg_fail(0, "%s is damaged: it lists no golden images", bundle->manifest);
    const cryoseg_json *entry = cases + 1;
    size_t good = 0;
    for (size_t i = 0; i < cases->count; i++, entry += entry->span) {
        golden one;
        if (read_case(bundle, entry, &one) != CRYOSEG_OK)
            return 0;
        good += (size_t)run_case(bundle, &one, answer, host);
        free_case(&one);
    }
    printf("%lu of %lu golden images agree within %.1e\n", (unsigned long)good, (unsigned long)cases->count,
           bundle->tolerance);
    if (good < cases->count)
        cryoseg_fail(0, "%s: this host does not answer as the trained model does", bundle->folder);
    return good == cases->count;
}

#ifdef _WIN32
double cryoseg_milliseconds(void)
{
    LARGE_INTEGER count, frequency;
    QueryPerformanceCounter(&count);
    QueryPerformanceFrequency(&frequency);
    return 1e3 * (double)count.QuadPart / (double)frequency.QuadPart;
}

char **cryoseg_arguments(int *count, char **values)
{
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), count);
    char **result = wide ? calloc((size_t)*count + 1, sizeof *result) : NULL;
    for (int i = 0; result != NULL && i < *count; i++) {
        int size = WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, NULL, 0, NULL, NULL);
        result[i] = malloc((size_t)size + 1);
        if (result[i] == NULL)
            return values;
        WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, result[i], size, NULL, NULL);
    }
    SetConsoleOutputCP(CP_UTF8);
    return result ? result : values;
}
#else
double cryoseg_milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

char **cryoseg_arguments(int *count, char **values)
{
    (void)count;
    return values;
}
#endif
