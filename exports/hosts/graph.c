/* OpenVINO, as far as it is needed here. */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

#include "cryoseg.h"
#include "parts.h"

/* Say that OpenVINO could not do something; its own text is many lines with file names of its sources. */
static int openvino_failed(const char *what, const char *name, ov_status_e status)
{
    const char *said = ov_get_last_err_msg();
    char text[400];
    size_t used = 0;
    for (const char *at = said ? said : ov_get_error_info(status); *at && used < sizeof text - 1; at++) {
        int space = (unsigned char)*at <= ' ';
        if (!space || (used > 0 && text[used - 1] != ' '))
            text[used++] = space ? ' ' : *at;
    }
    text[used] = 0;
    if (said != NULL)
        ov_free(said);
    return cryoseg_fail(CRYOSEG_RUNTIME, "OpenVINO cannot %s %s: %s", what, name, text);
}

int cryoseg_core_create(ov_core_t **core)
{
    ov_status_e status = ov_core_create(core);
    return status == OK ? CRYOSEG_OK : openvino_failed("start", "", status);
}

static ov_status_e read_model(const ov_core_t *core, const char *path, ov_model_t **model)
{
#ifdef _WIN32
    wchar_t *wide = cryoseg_wide(path);
    ov_status_e status = wide ? ov_core_read_model_unicode(core, wide, NULL, model) : UNKNOWN_C_ERROR;
    free(wide);
    return status;
#else
    return ov_core_read_model(core, path, NULL, model);
#endif
}

int cryoseg_graph_load(const ov_core_t *core, const char *path, int threads, ov_compiled_model_t **graph)
{
    char count[12];
    ov_model_t *model = NULL;
    snprintf(count, sizeof count, "%d", threads);
    ov_status_e status = read_model(core, path, &model);
    if (status != OK)
        return openvino_failed("read", path, status);
    /* by default it computes in bfloat16 where the processor can, which costs three digits */
    status = ov_core_compile_model(core, model, "CPU", 8, graph, "INFERENCE_PRECISION_HINT", "f32", "NUM_STREAMS", "1",
                                   "INFERENCE_NUM_THREADS", count, "ENABLE_CPU_PINNING", "NO");
    ov_model_free(model);
    return status == OK ? CRYOSEG_OK : openvino_failed("compile", path, status);
}

cryoseg_run cryoseg_run_begin(const ov_compiled_model_t *graph)
{
    cryoseg_run run = {0};
    ov_status_e status = ov_compiled_model_create_infer_request(graph, &run.request);
    if (status != OK)
        run.code = openvino_failed("prepare", "a run", status);
    return run;
}

void cryoseg_run_input(cryoseg_run *run, const char *name, ov_element_type_e type, ov_shape_t shape, void *data)
{
    if (run->code != CRYOSEG_OK)
        return;
    ov_tensor_t *tensor = NULL;
    ov_status_e status = ov_tensor_create_from_host_ptr(type, shape, data, &tensor);
    if (status == OK)
        status = ov_infer_request_set_tensor(run->request, name, tensor);
    if (status != OK)
        run->code = openvino_failed("take the input", name, status);
    ov_tensor_free(tensor);
}

static void release(cryoseg_run *run)
{
    while (run->held > 0)
        ov_tensor_free(run->outputs[--run->held]);
}

void cryoseg_run_infer(cryoseg_run *run)
{
    release(run);
    if (run->code != CRYOSEG_OK)
        return;
    ov_status_e status = ov_infer_request_infer(run->request);
    if (status != OK)
        run->code = openvino_failed("run", "the model on this image", status);
}

const void *cryoseg_run_output(cryoseg_run *run, const char *name, ov_element_type_e type, size_t count)
{
    if (run->code != CRYOSEG_OK)
        return NULL;
    ov_tensor_t **tensor = &run->outputs[run->held];
    ov_status_e status = ov_infer_request_get_tensor(run->request, name, tensor);
    if (status != OK) {
        run->code = openvino_failed("give the output", name, status);
        return NULL;
    }
    run->held++;
    ov_element_type_e found = DYNAMIC;
    size_t size = 0;
    void *data = NULL;
    if (ov_tensor_get_element_type(*tensor, &found) != OK || found != type ||
        ov_tensor_get_size(*tensor, &size) != OK || size != count || ov_tensor_data(*tensor, &data) != OK)
        run->code = cryoseg_fail(CRYOSEG_BUNDLE, "the model's output %s holds %lu values, not %lu, or of another type",
                                 name, (unsigned long)size, (unsigned long)count);
    return run->code == CRYOSEG_OK ? data : NULL;
}

int cryoseg_run_end(cryoseg_run *run)
{
    release(run);
    ov_infer_request_free(run->request);
    return run->code;
}
