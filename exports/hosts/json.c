/* A strict JSON reader: values in one array, strings decoded where they stand. */
#include <stdlib.h>
#include <string.h>

#include "parts.h"

enum { DEEPEST = 64 };

typedef struct {
    char *at; /* a 0 follows the text, so that looking at the next character is always allowed */
    cryoseg_json *values;
    size_t used, room;
    int depth, no_memory;
} reader;

static int read_value(reader *r, const char *name);

static void skip_space(reader *r)
{
    r->at += strspn(r->at, " \t\r\n");
}

/* Read four hexadecimal digits; -1 if they are none. */
static long read_hex(reader *r)
{
    long code = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        const char *digits = "0123456789abcdef0123456789ABCDEF";
        const char *digit = *r->at ? strchr(digits, *r->at) : NULL;
        if (digit == NULL)
            return -1;
        code = code * 16 + (digit - digits) % 16;
    }
    return code;
}

/* Read what follows \u, and write it as UTF-8, which is never longer. */
static char *read_code(reader *r, char *out)
{
    long code = read_hex(r);
    if (code >= 0xd800 && code < 0xdc00) {
        if (r->at[0] != '\\' || r->at[1] != 'u')
            return NULL;
        r->at += 2;
        long low = read_hex(r);
        if (low < 0xdc00 || low > 0xdfff)
            return NULL;
        code = 0x10000 + (code - 0xd800) * 0x400 + (low - 0xdc00);
    } else if (code <= 0 || (code >= 0xdc00 && code <= 0xdfff)) {
        return NULL; /* a 0 would end the string */
    }
    int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char first[] = {0, 0xc0, 0xe0, 0xf0};
    *out++ = (char)(first[more] | code >> 6 * more);
    while (more-- > 0)
        *out++ = (char)(0x80 | (code >> 6 * more & 0x3f));
    return out;
}

/* Read a string from its first quote on; NULL if it is none. */
static char *read_string(reader *r)
{
    if (*r->at != '"')
        return NULL;
    char *start = ++r->at, *out = start;
    while (*r->at != '"') {
        if ((unsigned char)*r->at < 0x20)
            return NULL;
        if (*r->at != '\\') {
            *out++ = *r->at++;
            continue;
        }
        const char *plain = "\"\\/bfnrt", *meant = "\"\\/\b\f\n\r\t";
        char kind = r->at[1];
        const char *found = kind ? strchr(plain, kind) : NULL;
        if (found == NULL && kind != 'u')
            return NULL;
        r->at += 2;
        if (found != NULL)
            *out++ = meant[found - plain];
        else if ((out = read_code(r, out)) == NULL)
            return NULL;
    }
    r->at++;
    *out = 0;
    return start;
}

/* Read digits; those beyond the 18th only count. */
static int read_digits(reader *r, double *value, int *kept, int *dropped)
{
    const char *start = r->at;
    for (; *r->at >= '0' && *r->at <= '9'; r->at++) {
        if (*kept < 18) {
            *value = *value * 10 + (*r->at - '0');
            *kept += *value > 0;
        } else {
            ++*dropped;
        }
    }
    return (int)(r->at - start);
}

/* Read a number. strtod would take its decimal point from the host's locale. */
static int read_number(reader *r, double *result)
{
    int negative = *r->at == '-', kept = 0, dropped = 0, ignored = 0, scale = 0;
    r->at += negative;
    double value = 0, power = 1, exponent = 0;
    int zero = *r->at == '0', digits = read_digits(r, &value, &kept, &dropped);
    if (digits == 0 || (zero && digits > 1))
        return 0;
    scale = dropped;
    if (*r->at == '.') {
        r->at++;
        int unused = 0;
        digits = read_digits(r, &value, &kept, &unused);
        if (digits == 0)
            return 0;
        scale -= digits - unused;
    }
    if (*r->at == 'e' || *r->at == 'E') {
        r->at++;
        int minus = *r->at == '-';
        r->at += minus || *r->at == '+';
        int places = 0;
        if (read_digits(r, &exponent, &places, &ignored) == 0)
            return 0;
        exponent = exponent > 999 ? 999 : exponent;
        scale += (int)(minus ? -exponent : exponent);
    }
    for (int i = 0; i < abs(scale) && power < 1e300; i++)
        power *= 10; /* exact up to 22 places */
    *result = (negative ? -value : value) * (scale > 0 ? power : 1) / (scale < 0 ? power : 1);
    return 1;
}

static int read_word(reader *r, const char *word)
{
    size_t length = strlen(word);
    int same = strncmp(r->at, word, length) == 0;
    r->at += same ? length : 0;
    return same;
}

/* Read what an array or object holds, from its bracket on. */
static int read_inside(reader *r, size_t index, char close)
{
    r->at++;
    skip_space(r);
    if (*r->at == close)
        return r->at++, 1;
    do {
        const char *name = NULL;
        skip_space(r);
        if (close == '}') {
            if ((name = read_string(r)) == NULL)
                return 0;
            skip_space(r);
            if (*r->at++ != ':')
                return r->at--, 0;
        }
        if (!read_value(r, name))
            return 0;
        r->values[index].count++;
        skip_space(r);
    } while (*r->at == ',' && r->at++);
    return *r->at == close ? r->at++, 1 : 0;
}

static int read_kind(reader *r, size_t index)
{
    cryoseg_json *value = &r->values[index];
    switch (*r->at) {
    case '{':
        value->kind = CRYOSEG_OBJECT;
        return read_inside(r, index, '}');
    case '[':
        value->kind = CRYOSEG_ARRAY;
        return read_inside(r, index, ']');
    case '"':
        value->kind = CRYOSEG_STRING;
        return (value->text = read_string(r)) != NULL;
    case 'n':
        return read_word(r, "null");
    case 't':
        value->kind = CRYOSEG_TRUE;
        return read_word(r, "true");
    case 'f':
        value->kind = CRYOSEG_FALSE;
        return read_word(r, "false");
    default:
        value->kind = CRYOSEG_NUMBER;
        return read_number(r, &value->number);
    }
}

static int read_value(reader *r, const char *name)
{
    if (r->used == r->room) {
        size_t room = r->room * 2 + 256;
        cryoseg_json *larger = realloc(r->values, room * sizeof *larger);
        if (larger == NULL)
            return r->no_memory = 1, 0;
        r->values = larger;
        r->room = room;
    }
    size_t index = r->used++;
    r->values[index] = (cryoseg_json){.name = name};
    skip_space(r);
    if (++r->depth > DEEPEST || !read_kind(r, index))
        return 0;
    r->depth--;
    r->values[index].span = r->used - index;
    return 1;
}

cryoseg_json *cryoseg_json_parse(char *text, size_t size, size_t *wrong)
{
    reader r = {.at = text};
    int good = read_value(&r, NULL);
    skip_space(&r);
    if (good && r.at == text + size)
        return r.values;
    *wrong = r.no_memory ? size : (size_t)(r.at - text);
    free(r.values);
    return NULL;
}

static const cryoseg_json *find(const cryoseg_json *object, const char *name, size_t length)
{
    const cryoseg_json *found = NULL;
    if (object == NULL || object->kind != CRYOSEG_OBJECT)
        return NULL;
    const cryoseg_json *member = object + 1;
    for (size_t i = 0; i < object->count; i++, member += member->span) {
        if (strncmp(member->name, name, length) != 0 || member->name[length] != 0)
            continue;
        if (found != NULL)
            return NULL; /* readers differ in which of two they take */
        found = member;
    }
    return found;
}

const cryoseg_json *cryoseg_json_member(const cryoseg_json *object, const char *name)
{
    return find(object, name, strlen(name));
}

const cryoseg_json *cryoseg_json_at(const cryoseg_json *object, const char *path)
{
    while (object != NULL && *path) {
        size_t length = strcspn(path, ".");
        object = find(object, path, length);
        path += length + (path[length] == '.');
    }
    return object;
}
