import numpy as np
import pytest

from cryoseg_tf.errors import ConfigError
from cryoseg_tf.segmentation.tiling import spans, tiles


@pytest.mark.parametrize("length", [16, 64, 160, 176, 1008, 4096])
@pytest.mark.parametrize(("window", "halo"), [(64, 16), (160, 64), (1536, 112)])
def test_spans(length, window, halo):
    stride = 16
    result = spans(length, window, halo, stride)
    written = np.concatenate([np.arange(s.write.start, s.write.stop) for s in result])
    np.testing.assert_array_equal(written, np.arange(length))  # the cores partition the side
    assert len({s.read.stop - s.read.start for s in result}) == 1
    for span in result:
        assert span.read.start % stride == span.read.stop % stride == 0
        assert 0 <= span.read.start <= span.read.stop <= length
        assert span.read.stop - span.read.start <= max(window, stride)
        # a full halo on each side, but for the image's own edge
        assert span.read.start == 0 or span.write.start - span.read.start >= halo
        assert span.read.stop == length or span.read.stop - span.write.stop >= halo


def test_a_window_of_halo_alone_is_refused():
    with pytest.raises(ConfigError, match="larger than 224"):
        spans(1024, 224, 112, 16)


def test_tiles_partition_the_image():
    seen = np.zeros((96, 208), int)
    for tile in tiles(96, 208, 64, 16, 16):
        seen[tile.rows.write, tile.columns.write] += 1
    assert (seen == 1).all()
