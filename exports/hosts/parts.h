/* What the files of the library share; nothing here is for its callers. */
#ifndef CRYOSEG_PARTS_H
#define CRYOSEG_PARTS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#if defined(__GNUC__)
#define CRYOSEG_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define CRYOSEG_PRINTF(text, first)
#endif

/* files.c: errors, and files by UTF-8 paths */

/* Keep a text for this thread, and return the code. */
int cryoseg_fail(int code, const char *format, ...) CRYOSEG_PRINTF(2, 3);
const char *cryoseg_failure(void);

/* Return FOLDER/NAME, to be freed; NULL without memory. */
char *cryoseg_join(const char *folder, const char *name);
FILE *cryoseg_file(const char *path, const char *mode);
/* Read a whole file of at most `limit` bytes; a 0 follows the content, which is to be freed. */
int cryoseg_read(const char *path, size_t limit, char **content, size_t *size);
#ifdef _WIN32
#include <wchar.h>
wchar_t *cryoseg_wide(const char *text);
#endif

/* sha256.c: FIPS 180-4 */

#define CRYOSEG_SHA256_LENGTH 64
/* Write the hash of a file in lower-case hexadecimal; 0 if it cannot be read. */
int cryoseg_sha256(FILE *file, char text[CRYOSEG_SHA256_LENGTH + 1]);

/* json.c: RFC 8259, to the letter */

enum { CRYOSEG_NULL, CRYOSEG_FALSE, CRYOSEG_TRUE, CRYOSEG_NUMBER, CRYOSEG_STRING, CRYOSEG_ARRAY, CRYOSEG_OBJECT };

/* A value. Those that it holds follow it: the first is value + 1, and the one after any value is value + span. */
typedef struct {
    int kind;
    const char *name; /* inside an object */
    const char *text; /* of a string */
    double number;
    size_t count; /* how many values an array or object holds */
    size_t span;
} cryoseg_json;

/* Turn a text, which is changed and must outlive the result, into values to be freed.
 * NULL: it is no JSON, and `text + *wrong` is where; or there is no memory (`*wrong` is the text's size). */
cryoseg_json *cryoseg_json_parse(char *text, size_t size, size_t *wrong);
/* The value of a name that stands once in an object, else NULL. */
const cryoseg_json *cryoseg_json_member(const cryoseg_json *object, const char *name);
/* The same through objects, by a path such as "network.tile". */
const cryoseg_json *cryoseg_json_at(const cryoseg_json *object, const char *path);

/* bundle.c: the manifest, and files that are what it says */

typedef struct {
    char *folder;
    char *manifest; /* its path */
    char *text;
    cryoseg_json *root;
    const cryoseg_json *classes;
    int channels, stride, halo, tile; /* halo -1: the network sees the whole image */
    int scaled;                       /* whether images are brought to a scale */
    float threshold;
    double tolerance;
} cryoseg_bundle;

int cryoseg_bundle_open(const char *folder, cryoseg_bundle *bundle);
void cryoseg_bundle_close(cryoseg_bundle *bundle);
/* Find a file of a format, e.g. ("openvino", "float32"); the path is to be freed. */
int cryoseg_bundle_find(const cryoseg_bundle *bundle, const char *format, const char *what, char **path);
/* Find a file by its name in the bundle, refusing names that lead out of it. */
int cryoseg_bundle_path(const cryoseg_bundle *bundle, const char *name, char **path);
/* Compare a file with its SHA-256 in the manifest. */
int cryoseg_bundle_check(const cryoseg_bundle *bundle, const char *name);

/* tiles.c: cut an image into overlapping tiles, and put predictions together again */

/* Along one axis. */
typedef struct {
    int64_t length; /* of the padded image */
    int64_t window; /* what is read at a time, halos included */
    int64_t halo;
    int64_t count;
} cryoseg_layout;

typedef struct {
    int64_t read, write, end; /* the window's start, and the core: from `write` to before `end` */
} cryoseg_span;

cryoseg_layout cryoseg_layout_of(int64_t length, int64_t window, int64_t halo, int64_t stride);
cryoseg_span cryoseg_span_at(const cryoseg_layout *layout, int64_t index);

#endif
