/* Compare TensorFlow's C API with a bundle's golden images; an example of running its SavedModel from C.
 *
 *     tensorflow_host BUNDLE
 *
 * The SavedModel says which tensors a signature takes and gives, under names that TensorFlow chose; they
 * stand in its MetaGraphDef, a protocol buffer, of which this reads the few fields that it needs.
 * Exit codes: 0 all agree, 1 a golden image differs, 2 wrong use or bad input.
 */
#include <stdlib.h>
#include <string.h>
#include <tensorflow/c/c_api.h>

#include "cryoseg.h"
#include "host.h"

typedef struct {
    TF_Output image, pixel_size, results[3]; /* mask, probability, status */
} signature;

enum { FLOAT32, UINT8, UINT16, SIGNATURES };

typedef struct {
    TF_Status *status;
    TF_Graph *graph;
    TF_Session *session;
    signature signatures[SIGNATURES];
    int channels;
} host;

typedef struct {
    const unsigned char *at, *end;
} bytes;

/* Take a number of seven bits a byte; 0 if the message is cut. */
static int take_varint(bytes *message, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 64 && message->at < message->end; shift += 7) {
        unsigned char byte = *message->at++;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return 1;
    }
    return 0;
}

/* Take the next field that holds bytes: a string or a message. Returns its number; 0 at the end. */
static uint64_t take_field(bytes *message, bytes *content)
{
    uint64_t tag, size;
    while (take_varint(message, &tag)) {
        if ((tag & 7) == 0) {
            if (!take_varint(message, &size))
                return 0;
            continue;
        }
        size = (tag & 7) == 1 ? 8 : 4;
        if ((tag & 7) == 2 && !take_varint(message, &size))
            return 0;
        if (size > (uint64_t)(message->end - message->at))
            return 0;
        *content = (bytes){message->at, message->at + size};
        message->at += size;
        if ((tag & 7) == 2)
            return tag >> 3;
    }
    return 0;
}

static bytes find_field(bytes message, uint64_t number)
{
    bytes content;
    for (uint64_t found; (found = take_field(&message, &content)) != 0;)
        if (found == number)
            return content;
    return (bytes){NULL, NULL};
}

/* Find a key in the map that is the field `number`: its entries are messages of a key, 1, and a value, 2. */
static bytes find_key(bytes message, uint64_t number, const char *key)
{
    bytes entry;
    for (uint64_t found; (found = take_field(&message, &entry)) != 0;) {
        if (found != number)
            continue;
        bytes name = find_field(entry, 1);
        size_t length = (size_t)(name.end - name.at);
        if (length == strlen(key) && memcmp(name.at, key, length) == 0)
            return find_field(entry, 2);
    }
    return (bytes){NULL, NULL};
}

/* Find a tensor of a signature: inputs are its field 1, outputs its field 2; TensorInfo.name, such as call:0, is 1. */
static TF_Output find_tensor(const host *host, bytes signature, uint64_t kind, const char *key)
{
    bytes name = find_field(find_key(signature, kind, key), 1);
    char text[256];
    size_t length = (size_t)(name.end - name.at);
    TF_Output none = {NULL, 0};
    if (length == 0 || length >= sizeof text)
        return none;
    memcpy(text, name.at, length);
    text[length] = 0;
    char *colon = strchr(text, ':');
    if (colon == NULL)
        return none;
    *colon = 0;
    return (TF_Output){TF_GraphOperationByName(host->graph, text), atoi(colon + 1)};
}

static int find_signatures(host *host, bytes graph)
{
    static const char *names[SIGNATURES] = {"segment", "segment_uint8", "segment_uint16"};
    static const char *results[3] = {"mask", "probability", "status"};
    for (int i = 0; i < SIGNATURES; i++) {
        bytes found = find_key(graph, 5, names[i]); /* MetaGraphDef.signature_def */
        signature *made = &host->signatures[i];
        made->image = find_tensor(host, found, 1, "image");
        made->pixel_size = find_tensor(host, found, 1, "pixel_size");
        int good = made->image.oper != NULL && made->pixel_size.oper != NULL;
        for (int k = 0; k < 3; k++) {
            made->results[k] = find_tensor(host, found, 2, results[k]);
            good = good && made->results[k].oper != NULL;
        }
        if (!good)
            return cryoseg_fail(CRYOSEG_BUNDLE, "the SavedModel has no signature %s with its five tensors", names[i]);
    }
    return CRYOSEG_OK;
}

static int has_failed(const host *host, const char *what)
{
    if (TF_GetCode(host->status) == TF_OK)
        return CRYOSEG_OK;
    return cryoseg_fail(CRYOSEG_RUNTIME, "TensorFlow cannot %s: %.400s", what, TF_Message(host->status));
}

static int load(host *host, const char *path)
{
    const char *tags[] = {"serve"};
    TF_SessionOptions *options = TF_NewSessionOptions();
    TF_Buffer *graph = TF_NewBuffer();
    host->session = TF_LoadSessionFromSavedModel(options, NULL, path, tags, 1, host->graph, graph, host->status);
    int code = has_failed(host, "load the SavedModel");
    if (code == CRYOSEG_OK)
        code = find_signatures(host, (bytes){graph->data, (const unsigned char *)graph->data + graph->length});
    TF_DeleteBuffer(graph);
    TF_DeleteSessionOptions(options);
    return code;
}

/* Copy a result out, if it has the type and size that it should have. */
static int take_result(TF_Tensor *tensor, TF_DataType type, void *values, size_t size)
{
    if (TF_TensorType(tensor) != type || TF_TensorByteSize(tensor) != size)
        return cryoseg_fail(CRYOSEG_BUNDLE, "the SavedModel gives %lu bytes, not %lu, or of another type",
                            (unsigned long)TF_TensorByteSize(tensor), (unsigned long)size);
    memcpy(values, TF_TensorData(tensor), size);
    return CRYOSEG_OK;
}

static TF_Tensor *image_tensor(const cryoseg_array *image, int *index)
{
    int64_t dims[] = {1, image->dims[0], image->dims[1]};
    size_t size = (size_t)(dims[1] * dims[2]) * (size_t)image->size;
    *index = image->size == 4 ? FLOAT32 : image->size == 2 ? UINT16 : UINT8;
    TF_DataType type = image->size == 4 ? TF_FLOAT : image->size == 2 ? TF_UINT16 : TF_UINT8;
    TF_Tensor *tensor = TF_AllocateTensor(type, dims, 3, size);
    if (tensor != NULL)
        memcpy(TF_TensorData(tensor), image->values, size);
    return tensor;
}

/* Run one image: a batch of one, in its own type. */
static int answer(void *context, const cryoseg_array *image, double pixel_size, uint8_t *mask, float *probability,
                  int *status)
{
    host *host = context;
    int index;
    int32_t found = -1;
    TF_Tensor *inputs[2] = {image_tensor(image, &index), TF_AllocateTensor(TF_FLOAT, NULL, 0, sizeof(float))};
    TF_Tensor *results[3] = {NULL, NULL, NULL};
    size_t pixels = (size_t)(image->dims[0] * image->dims[1]);
    int code = inputs[0] && inputs[1] ? CRYOSEG_OK : cryoseg_fail(CRYOSEG_MEMORY, "there is not enough memory");
    if (code == CRYOSEG_OK) {
        const signature *used = &host->signatures[index];
        const TF_Output places[2] = {used->image, used->pixel_size};
        *(float *)TF_TensorData(inputs[1]) = (float)pixel_size;
        TF_SessionRun(host->session, NULL, places, inputs, 2, used->results, results, 3, NULL, 0, NULL, host->status);
        code = has_failed(host, "segment the image");
    }
    if (code == CRYOSEG_OK)
        code = take_result(results[0], TF_UINT8, mask, pixels);
    if (code == CRYOSEG_OK)
        code = take_result(results[1], TF_FLOAT, probability, pixels * (size_t)host->channels * sizeof *probability);
    if (code == CRYOSEG_OK)
        code = take_result(results[2], TF_INT32, &found, sizeof found);
    *status = found;
    for (int i = 0; i < 3; i++)
        TF_DeleteTensor(results[i]);
    TF_DeleteTensor(inputs[0]);
    TF_DeleteTensor(inputs[1]);
    return code;
}

/* Find the SavedModel, and compare each of its files with the manifest's SHA-256. */
static int find_model(const cryoseg_bundle *bundle, char **path)
{
    int code = cryoseg_bundle_find(bundle, "saved_model", "segment", path);
    if (code != CRYOSEG_OK)
        return code;
    const char *name = *path + strlen(bundle->folder) + 1;
    const cryoseg_json *files = cryoseg_json_at(bundle->root, "files"), *file = files + 1;
    for (size_t i = 0; files != NULL && i < files->count && code == CRYOSEG_OK; i++, file += file->span)
        if (file->name != NULL && strncmp(file->name, name, strlen(name)) == 0 && file->name[strlen(name)] == '/')
            code = cryoseg_bundle_check(bundle, file->name);
    return code;
}

static int compare_golden(const cryoseg_bundle *bundle)
{
    host host = {.status = TF_NewStatus(), .graph = TF_NewGraph(), .channels = bundle->channels};
    char *path = NULL;
    int code = find_model(bundle, &path), good = 0;
    if (code == CRYOSEG_OK)
        code = load(&host, path);
    if (code == CRYOSEG_OK)
        good = cryoseg_golden(bundle, answer, &host);
    if (host.session != NULL) {
        TF_CloseSession(host.session, host.status);
        TF_DeleteSession(host.session, host.status);
    }
    TF_DeleteGraph(host.graph);
    TF_DeleteStatus(host.status);
    free(path);
    return code != CRYOSEG_OK ? 2 : good ? 0 : 1;
}

int main(int count, char **values)
{
    cryoseg_bundle bundle = {0};
    if (count != 2)
        cryoseg_fail(0, "usage: tensorflow_host BUNDLE");
    int code = count == 2 && cryoseg_bundle_open(values[1], &bundle) == CRYOSEG_OK ? compare_golden(&bundle) : 2;
    if (code != 0)
        fprintf(stderr, "tensorflow_host: %s\n", cryoseg_failure());
    cryoseg_bundle_close(&bundle);
    return code;
}
