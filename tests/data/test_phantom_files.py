"""The files of a data set of phantoms."""

import csv

import numpy as np
import pytest
import tifffile
from PIL import Image

from cryoseg_tf.config import Config
from cryoseg_tf.data.check import check
from cryoseg_tf.data.concerns import conclude
from cryoseg_tf.data.groups import find_groups
from cryoseg_tf.data.labels import find_labels
from cryoseg_tf.data.pairs import find_pairs
from cryoseg_tf.data.phantom import PhantomOptions, render, write_phantom
from cryoseg_tf.errors import ConfigError, DataError
from cryoseg_tf.io.vendor import read_metadata

SMALL = PhantomOptions(96, 123.4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "made" / "data"
    write_phantom(out, images=4, test=2, seed=5, options=SMALL)
    return out


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def metadata(path):
    with tifffile.TiffFile(path) as tiff:
        return read_metadata(tiff)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": 0}, "images is 0: it must be at least 1"),
        ({"test": -1}, "test is -1"),
        ({"seed": -1}, "seed is -1: it must not be negative"),
    ],
)
def test_values_that_cannot_be_used_are_named(tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        write_phantom(tmp_path / "out", **arguments)
    assert not list(tmp_path.iterdir())


def test_written_layout(folder):
    expected = {"classes.txt"}
    for part, count in (("train", 4), ("test", 2)):
        names = [f"phantom_{index:03}" for index in range(count)]
        expected |= {f"{part}/images/{n}.tif" for n in names} | {f"{part}/masks/{n}.png" for n in names}
        expected.add(f"{part}/objects.csv")
        assert len(find_pairs(folder, part)) == count
    assert set(contents(folder)) == expected
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def test_returned_paths_are_the_images(tmp_path):
    paths = write_phantom(str(tmp_path / "out"), images=2, test=1, options=PhantomOptions(64))
    expected = ["train/images/phantom_000.tif", "train/images/phantom_001.tif", "test/images/phantom_000.tif"]
    assert paths == [tmp_path / "out" / name for name in expected]
    assert all(p.is_file() for p in paths)


def test_files_keep_depth_pixel_size_and_mask(folder):
    depths = []
    for pair in find_pairs(folder, "train"):
        image = tifffile.imread(pair.image)
        assert metadata(pair.image).pixel_size == pytest.approx(123.4, rel=1e-3)
        window = render((5, 0, len(depths)), SMALL, bits=8 * image.itemsize)
        np.testing.assert_array_equal(image, window.image)
        np.testing.assert_array_equal(np.asarray(Image.open(pair.mask)), window.mask)
        depths.append(image.dtype)
    assert depths == [np.uint16, np.uint16, np.uint8, np.uint16]


def test_metadata_is_a_microscopes_in_three_of_four_images(folder):
    said = [metadata(pair.image) for pair in find_pairs(folder, "train")]
    assert [m.vendor for m in said] == ["Thermo Fisher"] * 3 + [""]
    for index, one in enumerate(said[:3]):
        tilt = render((5, 0, index), SMALL).tilt
        assert one.instrument == "Phantom"
        assert one.tilt == pytest.approx(tilt, abs=1e-6)
        assert one.beam_energy in (2, 3, 5)
        assert (one.image_columns, one.image_rows, one.data_bar) == (96, 96, 0)
    # fields of 11.8 um do not overlap
    assert said[1].stage_x - said[0].stage_x > 12


def test_no_stage_fields_overlap(folder):
    pairs = find_pairs(folder)
    groups = find_groups(folder, pairs, Config().replace({"data.classes": find_labels(folder).classes}).data)
    assert len(set(groups.of.values())) == len(pairs)


def test_check_finds_them_fit(tmp_path):
    write_phantom(tmp_path / "data", images=6, test=2, options=PhantomOptions(256, 200.0))
    config = Config().replace({"data.classes": find_labels(tmp_path / "data").classes})
    conclusion = conclude(list(check(find_pairs(tmp_path / "data"), config.data)), config)
    assert [c.title for c in conclusion.concerns if c.level != "note"] == []


@pytest.mark.parametrize("pixel_size", [1000.0, 33.3, 4.567])
def test_pixel_size_reads_back(tmp_path, pixel_size):
    paths = write_phantom(tmp_path / "out", images=4, test=0, options=PhantomOptions(64, pixel_size))
    assert [metadata(p).pixel_size for p in paths] == pytest.approx([pixel_size] * 4, rel=1e-3)


def test_files_repeat_byte_for_byte_and_do_not_depend_on_the_count(folder, tmp_path):
    write_phantom(tmp_path / "out", images=4, test=2, seed=5, options=SMALL)
    assert contents(tmp_path / "out") == contents(folder)
    write_phantom(tmp_path / "fewer", images=1, test=1, seed=5, options=SMALL)
    fewer = {name: data for name, data in contents(tmp_path / "fewer").items() if not name.endswith(".csv")}
    assert fewer.items() < contents(folder).items()


def test_no_image_is_both_trained_and_tested_on(folder):
    images = [data for name, data in contents(folder).items() if "/images/" in name]
    assert len(set(images)) == len(images) == 6


def test_the_table_names_what_the_masks_hold(tmp_path):
    options = PhantomOptions(128, 200.0, ("ice", "cell"), "clusters-only")
    write_phantom(tmp_path / "data", images=4, test=0, options=options)
    with (tmp_path / "data" / "train" / "objects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image", "kind", "y", "x", "area_px", "cells", "annotated"]
    assert {row["annotated"] for row in rows} == {"true", "false"}
    for row in rows:
        mask = np.asarray(Image.open(tmp_path / "data" / "train" / "masks" / row["image"].replace("tif", "png")))
        assert (mask[int(row["y"]), int(row["x"])] == 2) == (row["annotated"] == "true")
        assert (row["cells"] == "1") == (row["annotated"] == "false")


def test_without_test_images_there_is_no_test_folder(tmp_path):
    out = tmp_path / "out"
    out.mkdir()  # an empty folder is welcome
    write_phantom(out, images=1, test=0, options=PhantomOptions(64, classes=("cell",)))
    assert [p.name for p in out.iterdir()] == ["train"]


def test_a_folder_in_use_is_refused_and_kept(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(DataError, match="out exists and is not empty: choose another folder"):
        write_phantom(tmp_path / "out", images=1, test=0)
    assert contents(tmp_path) == {"out/mine.txt": b"keep"}


def test_a_file_is_refused_and_kept(tmp_path):
    (tmp_path / "out").write_text("keep")
    with pytest.raises(DataError, match="out is a file: choose another folder"):
        write_phantom(tmp_path / "out", images=1, test=0)
    assert contents(tmp_path) == {"out": b"keep"}


@pytest.mark.parametrize("classes", [("cell", "ice", "mesh"), ("ice",), ("mesh", "cell")])
def test_classes_are_named_for_fit(tmp_path, classes):
    write_phantom(tmp_path / "data", images=1, test=0, options=PhantomOptions(64, 400.0, classes))
    assert find_labels(tmp_path / "data").classes == ("background", *classes)


def test_the_command_takes_classes_and_annotation(cli, tmp_path):
    words = ["--images", 2, "--test", 0, "--size", 64, "--pixel-size", 300, "--classes", "cell, ice"]
    result = cli("phantom", tmp_path / "a", *words, "--annotation", "clusters-only")
    assert result.exit_code == 0, result.stderr
    write_phantom(tmp_path / "b", 2, 0, options=PhantomOptions(64, 300.0, ("cell", "ice"), "clusters-only"))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    wrong = cli("phantom", tmp_path / "c", "--classes", "cell,frost")
    assert wrong.exit_code == 2
    assert "classes is 'cell, frost'" in wrong.stderr
