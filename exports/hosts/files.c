/* Errors of a thread, and files by UTF-8 paths. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cryoseg.h"
#include "parts.h"

#ifdef _WIN32
#include <windows.h>
#endif

#if defined(_MSC_VER)
#define THREAD_LOCAL __declspec(thread)
#else
#define THREAD_LOCAL __thread
#endif

static THREAD_LOCAL char failure[1024];

int cryoseg_fail(int code, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(failure, sizeof failure, format, values);
    va_end(values);
    return code;
}

const char *cryoseg_failure(void)
{
    return failure;
}

char *cryoseg_join(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(size);
    if (path != NULL)
        snprintf(path, size, "%s/%s", folder, name);
    return path;
}

#ifdef _WIN32
wchar_t *cryoseg_wide(const char *text)
{
    int size = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    wchar_t *wide = size > 0 ? malloc((size_t)size * sizeof *wide) : NULL;
    if (wide != NULL)
        MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, wide, size);
    return wide;
}

FILE *cryoseg_file(const char *path, const char *mode)
{
    wchar_t *wide = cryoseg_wide(path), *how = cryoseg_wide(mode);
    FILE *file = wide != NULL && how != NULL ? _wfopen(wide, how) : NULL;
    free(wide);
    free(how);
    return file;
}
#else
FILE *cryoseg_file(const char *path, const char *mode)
{
    return fopen(path, mode);
}
#endif

static int read_all(FILE *file, const char *path, size_t limit, char **content, size_t *size)
{
    size_t room = 65536, used = 0;
    char *buffer = malloc(room);
    while (buffer != NULL) {
        used += fread(buffer + used, 1, room - 1 - used, file);
        if (used < room - 1 || used > limit)
            break;
        room *= 2;
        char *larger = realloc(buffer, room);
        if (larger == NULL)
            free(buffer);
        buffer = larger;
    }
    if (buffer == NULL)
        return cryoseg_fail(CRYOSEG_MEMORY, "%s: there is not enough memory to read it", path);
    if (ferror(file) || used > limit) {
        free(buffer);
        return cryoseg_fail(CRYOSEG_BUNDLE, used > limit ? "%s is too large" : "%s cannot be read", path);
    }
    buffer[used] = 0;
    *content = buffer;
    *size = used;
    return CRYOSEG_OK;
}

int cryoseg_read(const char *path, size_t limit, char **content, size_t *size)
{
    FILE *file = cryoseg_file(path, "rb");
    if (file == NULL)
        return cryoseg_fail(CRYOSEG_BUNDLE, "%s is missing or cannot be read", path);
    int code = read_all(file, path, limit, content, size);
    fclose(file);
    return code;
}
