import pytest
from PIL import Image

from cryoseg_tf.errors import DataError
from cryoseg_tf.segmentation.files import claim, collect, destinations


def test_colliding_stems_keep_their_folders(tmp_path):
    images = [tmp_path / "a" / "x.tif", tmp_path / "b" / "x.tif"]
    out = tmp_path / "out"
    assert list(destinations(images, out).values()) == [out / "a" / "x.png", out / "b" / "x.png"]


def test_what_cannot_be_told_apart_stops_before_any_work(tmp_path):
    with pytest.raises(DataError, match="would both become"):
        destinations([tmp_path / "x.tif", tmp_path / "x.jpg"], tmp_path / "out")


def test_folders_that_are_not_searched_are_told_unless_they_are_named(tmp_path, caplog):
    caplog.set_level("INFO")
    below = tmp_path / "images" / "below"
    below.mkdir(parents=True)
    for folder in (below, below.parent):
        Image.new("L", (8, 8)).save(folder / f"in_{folder.name}.png")
    assert [path.name for path in collect([below.parent, below])] == ["in_images.png", "in_below.png"]
    assert "left out" not in caplog.text
    assert [path.name for path in collect([below.parent])] == ["in_images.png"]
    assert f"{below} is left out, since folders are not searched" in caplog.text


def test_a_folder_named_as_an_image_is_refused(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "x.png")
    with pytest.raises(DataError, match=r"mask\.png is named like an image"):
        claim([tmp_path / "x.png"], tmp_path / "mask.png")


def test_masks_do_not_go_among_the_images_of_annotated_data(make_pairs, tmp_path):
    make_pairs(tmp_path / "data", 2)
    Image.new("L", (8, 8)).save(tmp_path / "new.png")
    with pytest.raises(DataError, match="holds the images of annotated data"):
        claim([tmp_path / "new.png"], tmp_path / "data" / "images")


def test_a_folder_of_folders_of_images_is_told_apart(tmp_path):
    (tmp_path / "test" / "images").mkdir(parents=True)
    Image.new("L", (8, 8)).save(tmp_path / "test" / "images" / "x.png")
    with pytest.raises(DataError, match=r"did you mean .*test/images"):
        collect([tmp_path])
