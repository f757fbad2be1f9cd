"""Every layout, as real files: who belongs to whom, and what is said where that cannot be known."""

import json
import logging

import numpy as np
import pytest
import tifffile
from PIL import Image

from cryoseg_tf.config import DataConfig
from cryoseg_tf.data.pairs import find_pairs, note_instances, read_annotated
from cryoseg_tf.errors import DataError

CELL = np.array([[0, 1, 1], [0, 0, 1]], np.uint8)


def save(path, pixels=CELL):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels)
    else:
        Image.fromarray(pixels).save(path)


def labelme(path, label="cell"):
    shapes = [{"label": label, "points": [[1, 0], [3, 1]], "shape_type": "rectangle"}]
    path.write_text(json.dumps({"shapes": shapes, "imageHeight": 2, "imageWidth": 3}))


def folders(root, masks="masks"):
    for name in "ab":
        save(root / "images" / f"{name}.tif")
        save(root / masks / f"{name}.png")


def nnunet(root, *ends):
    for end in ends or ("Tr",):
        for name in "ab":
            save(root / f"images{end}" / f"{name}{end}_0000.tif")
            save(root / f"labels{end}" / f"{name}{end}.tif")


def cellpose(root):
    save(root / "a.tif"), save(root / "a_masks.tif", CELL.astype(np.uint16) * 300)
    save(root / "b.png"), save(root / "b_cp_masks.png", CELL * 7)
    save(root / "a_flows.tif")


def labelme_beside(root):
    for name in "ab":
        save(root / f"{name}.png")
        labelme(root / f"{name}.json")


LAYOUTS = {
    "masks": (folders, ["images/a.tif", "images/b.tif"]),
    "labels": (lambda root: folders(root, "labels"), ["images/a.tif", "images/b.tif"]),
    "nnU-Net": (nnunet, ["imagesTr/aTr_0000.tif", "imagesTr/bTr_0000.tif"]),
    "Cellpose": (cellpose, ["a.tif", "b.png"]),
    "LabelMe": (labelme_beside, ["a.png", "b.png"]),
    "LabelMe in images": (lambda root: labelme_beside(root / "images"), ["images/a.png", "images/b.png"]),
}
each_layout = pytest.mark.parametrize("layout", LAYOUTS)


@each_layout
def test_partners_are_found_and_read(tmp_path, layout):
    make, names = LAYOUTS[layout]
    make(tmp_path)
    pairs = find_pairs(tmp_path)
    assert [p.name for p in pairs] == names
    assert all(p.mask.name[0] == p.image.name[0] for p in pairs)
    for pair in pairs:
        expected = [[0, 1, 1], [0, 0, 0]] if "LabelMe" in layout else CELL
        np.testing.assert_array_equal(read_annotated(pair, DataConfig()).mask, expected)


@each_layout
def test_each_may_lie_under_train_and_test(tmp_path, layout):
    make, names = LAYOUTS[layout]
    make(tmp_path / "train")
    make(tmp_path / "test")
    assert [p.name for p in find_pairs(tmp_path, "train")] == [f"train/{name}" for name in names]
    assert [p.name for p in find_pairs(tmp_path, "test")] == [f"test/{name}" for name in names]
    assert len(find_pairs(tmp_path)) == 2 * len(names)


@each_layout
def test_an_image_without_annotation_is_named(tmp_path, layout):
    make, names = LAYOUTS[layout]
    make(tmp_path)
    next(p for p in find_pairs(tmp_path) if p.name == names[0]).mask.unlink()
    with pytest.raises(DataError, match="no mask for ") as error:
        find_pairs(tmp_path)
    assert str(tmp_path / names[0]) in str(error.value)


@each_layout
def test_an_annotation_without_image_is_named(tmp_path, layout):
    make, names = LAYOUTS[layout]
    make(tmp_path)
    pair = next(p for p in find_pairs(tmp_path) if p.name == names[0])
    pair.image.unlink()
    with pytest.raises(DataError, match="no image for ") as error:
        find_pairs(tmp_path)
    assert str(pair.mask) in str(error.value)


@pytest.mark.parametrize(
    ("one", "other", "names"),
    [
        (folders, nnunet, ["images/ with masks/", "nnU-Net"]),
        (folders, lambda root: folders(root, "labels"), ["images/ with masks/", "images/ with labels/"]),
        (folders, lambda root: labelme(root / "images" / "a.json"), ["images/ with masks/", "LabelMe"]),
        (cellpose, labelme_beside, ["Cellpose", "LabelMe"]),
        (nnunet, cellpose, ["nnU-Net", "Cellpose"]),
    ],
)
def test_two_layouts_in_one_folder_are_both_named(tmp_path, one, other, names):
    one(tmp_path)
    other(tmp_path)
    with pytest.raises(DataError) as error:
        find_pairs(tmp_path)
    assert all(name in str(error.value) for name in names), str(error.value)


def test_no_layout_lists_what_is_known(tmp_path):
    save(tmp_path / "a.tif")
    with pytest.raises(DataError) as error:
        find_pairs(tmp_path)
    assert all(word in str(error.value) for word in ["masks/", "nnU-Net", "Cellpose", "LabelMe", "train/"])


def test_metadata_beside_images_is_no_annotation(tmp_path):
    folders(tmp_path)
    (tmp_path / "images" / "a.json").write_text('{"pixel_size": {"x": 1e-7}}')
    assert len(find_pairs(tmp_path)) == 2


def test_nnunet_has_parts_of_its_own(tmp_path):
    nnunet(tmp_path, "Tr", "Ts")
    assert [p.name for p in find_pairs(tmp_path, "train")] == ["imagesTr/aTr_0000.tif", "imagesTr/bTr_0000.tif"]
    assert [p.name for p in find_pairs(tmp_path, "test")] == ["imagesTs/aTs_0000.tif", "imagesTs/bTs_0000.tif"]
    assert len(find_pairs(tmp_path)) == 4


def test_nnunets_unlabelled_test_images_are_left_out(tmp_path):
    nnunet(tmp_path)
    save(tmp_path / "imagesTs" / "c_0000.tif")
    assert find_pairs(tmp_path, "test") == find_pairs(tmp_path, "train") == find_pairs(tmp_path)


def test_nnunets_test_images_are_not_trained_on(tmp_path):
    nnunet(tmp_path, "Ts")
    with pytest.raises(DataError, match="not for training"):
        find_pairs(tmp_path, "train")


@pytest.mark.parametrize(("name", "words"), [("aTr_0001.tif", "second channel"), ("c.tif", "no channel number")])
def test_nnunets_channels(tmp_path, name, words):
    nnunet(tmp_path)
    save(tmp_path / "imagesTr" / name)
    with pytest.raises(DataError, match=f"{name} .*{words}"):
        find_pairs(tmp_path)


def test_two_masks_of_one_image_are_named(tmp_path):
    cellpose(tmp_path)
    save(tmp_path / "a_masks.png")
    with pytest.raises(DataError, match=r"a_masks\.png and .*a_masks\.tif share a name"):
        find_pairs(tmp_path)


def test_instances_are_said_once(tmp_path, caplog):
    cellpose(tmp_path / "cells")
    folders(tmp_path / "classes")
    with caplog.at_level(logging.INFO):
        note_instances(find_pairs(tmp_path / "classes"), DataConfig())
        assert caplog.messages == []
        note_instances(find_pairs(tmp_path / "cells"), DataConfig())
        note_instances(find_pairs(tmp_path / "classes"), DataConfig(instances=True))
    assert caplog.messages == ["masks hold instances: any label above 0 is cell"] * 2
