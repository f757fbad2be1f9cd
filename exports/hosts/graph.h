/* OpenVINO, as far as it is needed here: load a graph, give it inputs by name, take outputs by name. */
#ifndef CRYOSEG_GRAPH_H
#define CRYOSEG_GRAPH_H

#include <openvino/c/openvino.h>

int cryoseg_core_create(ov_core_t **core);
int cryoseg_graph_load(const ov_core_t *core, const char *path, int threads, ov_compiled_model_t **graph);

/* One run of a graph. The first error is kept, and what follows it does nothing. */
typedef struct {
    ov_infer_request_t *request;
    ov_tensor_t *outputs[4];
    int held;
    int code;
} cryoseg_run;

cryoseg_run cryoseg_run_begin(const ov_compiled_model_t *graph);
/* The data, as many values as the dimensions say, must stay where they are until the end of the run. */
void cryoseg_run_input(cryoseg_run *run, const char *name, ov_element_type_e type, ov_shape_t shape, void *data);
void cryoseg_run_infer(cryoseg_run *run);
/* Values of an output that must have `count` of them; NULL on an error. Valid until the next infer. */
const void *cryoseg_run_output(cryoseg_run *run, const char *name, ov_element_type_e type, size_t count);
int cryoseg_run_end(cryoseg_run *run);

#endif
