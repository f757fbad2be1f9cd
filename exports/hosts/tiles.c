/* Cut a large image into overlapping tiles: the arithmetic of cryoseg_tf/segmentation/tiling.py.
 *
 * A tile is read with a halo and written without it; at the image's edge the window is clamped inside:
 *
 *     |--halo--|------ core ------|--halo--|   inside
 *     |------ core ------|------ 2 halo ---|   at the left edge
 */
#include "parts.h"

static int64_t divided_up(int64_t value, int64_t by)
{
    return (value + by - 1) / by;
}

/* length, window and halo are multiples of the stride, and window is larger than two halos. */
cryoseg_layout cryoseg_layout_of(int64_t length, int64_t window, int64_t halo, int64_t stride)
{
    cryoseg_layout layout = {length, length, halo, 1};
    if (length > window) {
        layout.count = divided_up(length - 2 * halo, window - 2 * halo);
        /* the shortest equal windows that still cover: less is computed twice */
        layout.window = divided_up(length + (layout.count - 1) * 2 * halo, layout.count * stride) * stride;
    }
    return layout;
}

cryoseg_span cryoseg_span_at(const cryoseg_layout *layout, int64_t index)
{
    int64_t core = layout->window - 2 * layout->halo, last = layout->length - layout->window;
    cryoseg_span span = {index * core < last ? index * core : last, 0, layout->length};
    if (index > 0)
        span.write = (index - 1) * core + layout->window - layout->halo;
    if (index < layout->count - 1)
        span.end = span.read + layout->window - layout->halo;
    return span;
}
