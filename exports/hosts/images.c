/* Image files that need no library, for the example programs. */
#include <stdlib.h>
#include <string.h>

#include "cryoseg.h"
#include "host.h"

static int no_array(const char *path, const char *why)
{
    return cryoseg_fail(CRYOSEG_ARGUMENT, "%s cannot be read: %s", path, why);
}

/* Point to values from byte `at` on, if the file holds them all and no more. */
static int take_values(const char *path, size_t at, size_t size, cryoseg_array *array)
{
    uint64_t bytes = (uint64_t)array->size;
    for (int i = 0; i < array->rank; i++) {
        if (array->dims[i] < 1 || (uint64_t)array->dims[i] > (UINT64_C(1) << 40) / bytes)
            return no_array(path, "its shape makes no sense");
        bytes *= (uint64_t)array->dims[i];
    }
    if (bytes != size - at || at % (size_t)array->size != 0)
        return no_array(path, "it is longer or shorter than its header says");
    array->values = array->memory + at;
    return CRYOSEG_OK;
}

static int read_shape(const char *text, cryoseg_array *array)
{
    while (*text != ')' && array->rank < 4) {
        char *end;
        array->dims[array->rank++] = strtoll(text, &end, 10);
        if (end == text)
            return 0;
        text = end + strspn(end, ", ");
    }
    return *text == ')' && array->rank > 0;
}

/* Read the header that numpy.save writes, see numpy.lib.format. */
static int read_npy(const char *path, size_t size, cryoseg_array *array)
{
    char kind = 0, order = 0;
    int shape = 0;
    unsigned char *bytes = (unsigned char *)array->memory;
    size_t length = size < 10 ? 0 : bytes[8] | (size_t)bytes[9] << 8, start = 10;
    if (length < 2 || bytes[6] != 1 || start + length > size || bytes[start + length - 1] != '\n')
        return no_array(path, "it is not an .npy file of version 1");
    char *header = array->memory + start;
    header[length - 1] = 0;
    const char *form = "{'descr': '%c%c%d', 'fortran_order': False, 'shape': (%n";
    if (sscanf(header, form, &order, &kind, &array->size, &shape) < 3 || shape == 0 ||
        !read_shape(header + shape, array))
        return no_array(path, "its header is not that of an array in C order");
    array->is_float = kind == 'f';
    int known = kind == 'f' ? array->size == 4 : kind == 'u' && (array->size == 1 || array->size == 2);
    if (!known || order == '>')
        return no_array(path, "it must be uint8, uint16 or float32, little-endian");
    return take_values(path, start + length, size, array);
}

/* Read a binary grey map: P5, width, height, largest value, one space, values, the high byte first. */
static int read_pgm(const char *path, size_t size, cryoseg_array *array)
{
    long numbers[3];
    char *at = array->memory + 2;
    for (int i = 0; i < 3; i++) {
        at += strspn(at, " \t\r\n");
        while (*at == '#')
            at += strcspn(at, "\n"), at += strspn(at, " \t\r\n");
        char *end;
        numbers[i] = strtol(at, &end, 10);
        if (end == at || numbers[i] < 1)
            return no_array(path, "its header is not that of a .pgm file");
        at = end;
    }
    array->size = numbers[2] > 255 ? 2 : 1;
    array->rank = 2;
    array->dims[0] = numbers[1];
    array->dims[1] = numbers[0];
    size_t start = (size_t)(at + 1 - array->memory), length = start < size ? size - start : 0;
    memmove(array->memory, array->memory + start, length); /* to where uint16 may lie */
    unsigned char *values = (unsigned char *)array->memory;
    for (size_t i = 0; array->size == 2 && i + 1 < length; i += 2) {
        uint16_t value = (uint16_t)(values[i] << 8 | values[i + 1]);
        memcpy(values + i, &value, sizeof value);
    }
    return take_values(path, 0, length, array);
}

int cryoseg_array_read(const char *path, cryoseg_array *array)
{
    size_t size = 0;
    memset(array, 0, sizeof *array);
    int code = cryoseg_read(path, (size_t)1 << 34, &array->memory, &size);
    if (code != CRYOSEG_OK)
        return code;
    if (size > 6 && memcmp(array->memory, "\x93NUMPY", 6) == 0)
        code = read_npy(path, size, array);
    else if (size > 2 && memcmp(array->memory, "P5", 2) == 0)
        code = read_pgm(path, size, array);
    else
        code = no_array(path, "it is neither .npy nor binary .pgm");
    if (code != CRYOSEG_OK)
        cryoseg_array_free(array);
    return code;
}

void cryoseg_array_free(cryoseg_array *array)
{
    free(array->memory);
    array->memory = NULL;
}

int cryoseg_write_pgm(const char *path, const uint8_t *mask, int height, int width)
{
    FILE *file = cryoseg_file(path, "rb");
    if (file != NULL) {
        fclose(file);
        return cryoseg_fail(CRYOSEG_ARGUMENT, "%s exists: remove it, or name another", path);
    }
    file = cryoseg_file(path, "wb");
    if (file == NULL)
        return cryoseg_fail(CRYOSEG_ARGUMENT, "%s cannot be written", path);
    size_t count = (size_t)height * (size_t)width;
    int good = fprintf(file, "P5\n%d %d\n255\n", width, height) > 0 && fwrite(mask, 1, count, file) == count;
    good = fclose(file) == 0 && good;
    return good ? CRYOSEG_OK : cryoseg_fail(CRYOSEG_ARGUMENT, "%s cannot be written: is the disk full?", path);
}
