import json
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from cryoseg_tf import Segmenter, segment_files
from cryoseg_tf.config import DataConfig
from cryoseg_tf.errors import DataError
from cryoseg_tf.segmentation.files import collect, destinations

CLI = [sys.executable, "-m", "cryoseg_tf.cli.main"]


@pytest.fixture(scope="module")
def segmenter(trained):
    return Segmenter.from_run(trained)


def run(segmenter, images, out, **options):
    return list(segment_files(segmenter, images, out, model="m", **options))


def test_a_second_time_nothing_is_done(segmenter, data, tmp_path):
    images = collect([data / "images"])
    first = run(segmenter, images, tmp_path / "out")
    times = [o.mask.stat().st_mtime_ns for o in first]
    second = run(segmenter, images, tmp_path / "out")
    assert all(o.skipped for o in second)
    assert [o.mask.stat().st_mtime_ns for o in second] == times
    assert [(o.status, o.foreground) for o in first] == [(o.status, o.foreground) for o in second]


@pytest.mark.parametrize("change", ["image", "mask", "setting", "bar", "record"])
def test_what_changed_is_done_again(segmenter, data, tmp_path, change):
    images, out = collect([data / "images"]), tmp_path / "out"
    before = [o.mask.read_bytes() for o in run(segmenter, images, out)]
    options = {}
    if change == "image":
        images[0].write_bytes(images[1].read_bytes())
    elif change == "mask":
        (out / "x00.png").write_bytes(b"cut")
    elif change == "setting":
        options["data"] = DataConfig(image_pixel_size=5.0)
    elif change == "bar":
        options["data"] = DataConfig(data_bar=0)
    else:
        lines = (out / "records.jsonl").read_text().splitlines(keepends=True)
        kept = [line for line in lines if '"x00.png"' not in line]
        (out / "records.jsonl").write_text("".join(kept) + '{"name": "x00.png", "ke')
        (out / "x00.png").unlink()
    again = run(segmenter, images, out, **options)
    assert [o.skipped for o in again] == [False] + [change not in ("setting", "bar")] * 5
    after = [o.mask.read_bytes() for o in again]
    assert after[1:] == before[1:]
    assert (after[0] == before[0]) == (change != "image")
    lines = (out / "records.jsonl").read_text().splitlines()
    # a line cut by a kill stays as it is; none is empty, and no other is spoilt by it
    assert sum(not line.endswith("}") for line in lines) == (change == "record")


def test_without_a_pixel_size_that_the_model_needs_there_is_no_mask(trained, data, tmp_path):
    run_of = Segmenter.from_run(trained)
    scaled = {"scale": "pixel_size", "pixel_size": 10.0, "pixel_size_range": (5.0, 20.0)}
    segmenter = Segmenter(run_of.predictor, run_of.contract.model_copy(update=scaled))
    outcomes = run(segmenter, collect([data / "images"]), tmp_path / "out")
    assert all("--pixel-size" in o.error and o.error.startswith(str(o.image)) for o in outcomes)
    assert not list((tmp_path / "out").glob("*.png"))
    assert not any(
        o.error
        for o in run(segmenter, collect([data / "images"]), tmp_path / "out", data=DataConfig(image_pixel_size=10.0))
    )


def test_one_bad_file_does_not_stop_the_rest(segmenter, data, tmp_path):
    (data / "images" / "x02.png").write_bytes(b"broken")
    outcomes = run(segmenter, collect([data / "images"]), tmp_path / "out")
    assert [bool(o.error) for o in outcomes] == [False, False, True, False, False, False]
    assert "x02.png" in outcomes[2].error
    assert not (tmp_path / "out" / "x02.png").exists()


def test_killed_and_repeated_equals_uninterrupted(trained, tmp_path, make_pairs):
    data = make_pairs(tmp_path / "data", 40, (256, 256))
    call = [*CLI, "segment", trained, data / "images", "--out"]
    process = subprocess.Popen([*call, tmp_path / "out"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while len(list((tmp_path / "out").glob("x*.png"))) < 5 and time.monotonic() < end:
        time.sleep(0.001)
    process.kill()
    process.wait()
    done = len(list((tmp_path / "out").glob("x*.png")))
    assert 0 < done < 40
    subprocess.run([*call, tmp_path / "out"], check=True, capture_output=True)
    subprocess.run([*call, tmp_path / "whole"], check=True, capture_output=True)
    names = sorted(p.name for p in (tmp_path / "whole").glob("*.png"))
    assert len(names) == 40
    assert all((tmp_path / "out" / n).read_bytes() == (tmp_path / "whole" / n).read_bytes() for n in names)
    assert [p.name for p in (tmp_path / "out").iterdir() if p.name.startswith(".part")] == []


def test_an_input_is_never_written_over(segmenter, data):
    before = {p: p.read_bytes() for p in (data / "images").iterdir()}
    with pytest.raises(DataError, match="holds the images"):
        run(segmenter, collect([data / "images"]), data / "images")
    assert {p: p.read_bytes() for p in (data / "images").iterdir()} == before
    for name in ("a", "b"):
        (data / name).mkdir()
        (data / name / "x.png").touch()
    with pytest.raises(DataError, match="is an input"):
        destinations([data / "a" / "x.png", data / "b" / "x.png"], data)


def test_a_strangers_file_is_kept(segmenter, data, tmp_path):
    (tmp_path / "x00.png").write_text("mine")
    with pytest.raises(DataError, match="not a mask from here"):
        run(segmenter, collect([data / "images"]), tmp_path)
    assert (tmp_path / "x00.png").read_text() == "mine"


def test_pixel_sizes_that_disagree_are_an_error(segmenter, tmp_path):
    import tifffile

    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((20, 20), np.uint8), imagej=True, resolution=(10, 10), metadata={"unit": "um"}
    )
    outcome = run(segmenter, [tmp_path / "a.tif"], tmp_path / "out", data=DataConfig(image_pixel_size=50.0))[0]
    assert "100 nm" in outcome.error
    assert "--pixel-size says 50" in outcome.error


def test_a_mask_has_the_rows_of_the_data_bar_as_background(segmenter, data, tmp_path):
    [image] = collect([data / "images" / "x00.png"])
    pixels = np.asarray(Image.open(image))
    (tmp_path / "barred").mkdir()
    barred = tmp_path / "barred" / "x00.png"
    Image.fromarray(np.concatenate([pixels, np.full((10, 64), 255, np.uint8)])).save(barred)
    plain = run(segmenter, [image], tmp_path / "a")[0]
    cropped = run(segmenter, [barred], tmp_path / "b", data=DataConfig(data_bar=10))[0]
    expected = np.asarray(Image.open(plain.mask))
    assert expected.any()
    np.testing.assert_array_equal(np.asarray(Image.open(cropped.mask)), np.pad(expected, ((0, 10), (0, 0))))
    assert cropped.foreground == plain.foreground


def test_the_command_reports_json_and_exit_code(cli, trained, data, tmp_path):
    (data / "images" / "x02.png").write_bytes(b"broken")
    result = cli("segment", trained, data / "images", "--out", tmp_path / "out", "--json")
    assert result.exit_code == 1
    rows = json.loads(result.stdout)
    assert [row["error"] is None for row in rows] == [True, True, False, True, True, True]
    assert set(np.unique(Image.open(tmp_path / "out" / "x00.png"))) <= {0, 1}
