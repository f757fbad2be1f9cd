from pathlib import Path

import numpy as np
import pytest

from cryoseg_tf.errors import ImageError
from cryoseg_tf.io.data_bar import bar_rows
from cryoseg_tf.io.micrograph import read_micrograph
from cryoseg_tf.io.vendor import Metadata

BARS = [0, 59, 70, 79, 140]
PATH = Path("a.tif")


@pytest.mark.parametrize("bar", BARS)
@pytest.mark.parametrize("says", [True, False], ids=["stated", "empty"])
def test_the_bar_is_cropped_to_the_images_rows(tagged, thermo, bar, says):
    read = read_micrograph(tagged({34682: thermo(bar if says else "")}, bar))
    assert read.data_bar == bar
    np.testing.assert_array_equal(read.pixels[:, 0], np.arange(160))


@pytest.mark.parametrize("bar", BARS[1:])
def test_an_image_without_its_bar_is_left_whole(tagged, thermo, bar):
    """Cropped before, or saved without: DatabarHeight names what is not there."""
    path = tagged({34682: thermo(bar)})
    assert read_micrograph(path).pixels.shape == (160, 192)
    # burnt into the image's own rows: the user can see that, the file does not say
    assert read_micrograph(path, data_bar=bar).pixels.shape == (160 - bar, 192)


@pytest.mark.parametrize("bar", BARS)
def test_without_metadata_the_user_decides(tagged, bar):
    path = tagged({}, 10)
    assert read_micrograph(path).data_bar == 0
    read = read_micrograph(path, data_bar=bar)
    assert (read.pixels.shape, read.data_bar) == ((170 - bar, 192), bar)


@pytest.mark.parametrize(
    ("text", "extra", "words"),
    [
        ({"bar": 79}, 70, ["192x230", "160", "79", "--data-bar 70"]),
        ({"bar": 0}, 70, ["160", "DatabarHeight 0", "--data-bar 70"]),
        ({"rows": 150, "bar": 70}, 60, ["150", "160", "--data-bar"]),  # ResolutionY against VerFieldsize
        ({"rows": 200}, 0, ["192x160", "200", "--data-bar 0"]),
    ],
)
def test_sources_that_disagree_are_refused_with_the_numbers(tagged, thermo, text, extra, words):
    path = tagged({34682: thermo(**text)}, extra)
    with pytest.raises(ImageError) as error:
        read_micrograph(path)
    assert all(word in str(error.value) for word in [*words, path.name]), str(error.value)
    assert read_micrograph(path, data_bar=7).data_bar == 7


def test_what_the_file_says_for_certain_is_not_overruled(tagged, thermo):
    with pytest.raises(ImageError, match=r"data bar has 59 rows, but --data-bar says 70"):
        read_micrograph(tagged({34682: thermo(59)}, 59), data_bar=70)


@pytest.mark.parametrize("metadata", [Metadata(data_bar=160), Metadata()])
def test_a_bar_as_high_as_the_image_is_refused(metadata):
    with pytest.raises(ImageError, match="160 rows"):
        bar_rows(metadata, (160, 192), None if metadata.data_bar else 160, PATH)


def test_databar_height_alone_is_believed():
    assert bar_rows(Metadata(data_bar=64), (1088, 1024), None, PATH) == 64


def test_six_digits_may_round_to_the_next_row():
    assert bar_rows(Metadata(image_rows=1024, field_rows=1025), (1094, 1536), None, PATH) == 70
    assert bar_rows(Metadata(field_rows=1025), (1024, 1536), None, PATH) == 0
