"""What a word on the command line names, and what it is called."""

import shutil

import numpy as np
import pytest
from PIL import Image

from cryoseg_tf.cli.sources import data_settings, entry, load_model, read_sources
from cryoseg_tf.config import Config
from cryoseg_tf.data import find_pairs
from cryoseg_tf.errors import ConfigError, DataError, RunError
from cryoseg_tf.segmentation.classical import Given


@pytest.fixture
def masks(tmp_path, monkeypatch):
    """Two folders of masks of one name, below the working folder."""
    monkeypatch.chdir(tmp_path)
    for place in ("one/masks", "two/masks"):
        (tmp_path / place).mkdir(parents=True)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / place / "x.png")
    return tmp_path


def test_kinds_and_short_names(masks, trained):
    found = read_sources([str(trained), "one/masks", "otsu", "adaptive(window_px=9)"])
    assert [(source.name, source.kind) for source in found] == [
        ("run", "run"), ("masks", "masks"), ("otsu", "method"), ("adaptive", "method"),
    ]  # fmt: skip


def test_names_that_would_be_the_same_get_longer(masks):
    assert [source.name for source in read_sources(["one/masks", "two/masks"])] == ["one-masks", "two-masks"]
    found = read_sources(["otsu(cells=dark)", "otsu(cells='bright', offset=-0.1)", "otsu"])
    assert [source.name for source in found] == ["otsu-dark", "otsu-bright--0.1", "otsu"]


def test_a_name_may_be_given(masks):
    named, plain = read_sources(["Cellpose 4=one/masks", "otsu(cells=dark)"])
    assert (named.name, named.text, named.kind) == ("Cellpose 4", "one/masks", "masks")
    assert (plain.name, plain.text) == ("otsu", "otsu(cells=dark)")
    (masks / "a=b").mkdir()
    shutil.copy(masks / "one" / "masks" / "x.png", masks / "a=b")
    assert read_sources(["a=b"])[0].text == "a=b"


def test_what_is_nothing_is_refused(masks):
    (masks / "empty").mkdir()
    (masks / "notes.txt").write_text("mine")
    for word, message in {
        "empty": "empty is no run, bundle or folder of masks: it holds no run.json, manifest.json or image",
        "notes.txt": "notes.txt is a file: name a run, a bundle or a folder of masks",
        "gone/run": "gone/run does not exist",
    }.items():
        with pytest.raises(DataError) as error:
            read_sources([word])
        assert str(error.value) == message


def test_a_word_that_is_no_method_says_what_the_methods_are(data):
    pairs = find_pairs(data)
    with pytest.raises(DataError, match="otsus does not exist, and is no method: methods are adaptive, forest, otsu,"):
        entry(read_sources(["otsus"])[0], Given(Config()), pairs)
    with pytest.raises(ConfigError, match="forest learns from annotated images"):
        entry(read_sources(["forest"])[0], Given(Config()), pairs)


def test_a_folder_that_is_called_as_a_method_has_to_be_told_apart(masks, data):
    (masks / "one" / "masks").rename(masks / "otsu")
    for path in find_pairs(data):
        shutil.copy(path.mask, masks / "otsu")
    pairs, given = find_pairs(data), Given(Config())
    with pytest.raises(
        DataError, match=r"otsu is a method and a folder here: write \./otsu for the folder, otsu\(\) for"
    ):
        entry(read_sources(["otsu"])[0], given, pairs)
    folder, method = (entry(source, given, pairs) for source in read_sources(["./otsu", "otsu()"]))
    assert (folder.kind, method.kind) == ("masks", "method")
    assert (folder.name.endswith("-otsu"), method.name) == (True, "otsu")


def test_a_run_is_loaded_as_segment_does(trained, data):
    from cryoseg_tf import Run

    segmenter, identity = load_model(trained)
    assert identity == Run(trained).fingerprint()
    assert segmenter.contract == Run(trained).contract
    made = entry(read_sources([str(trained)])[0], Given(Config()), find_pairs(data))
    assert set(made.known) == set(Run(trained).environment()["files"].values())
    assert "base filters; 5 training images" in made.load().about
    assert data_settings(read_sources([str(trained)])[0]).classes == ("background", "cell")


def test_a_run_without_a_model_is_refused(trained, tmp_path, data):
    run = shutil.copytree(trained, tmp_path / "run")
    (run / "model.keras").unlink()
    with pytest.raises(RunError, match=r"has no model\.keras yet"):
        entry(read_sources([str(run)])[0], Given(Config()), find_pairs(data))


def test_what_a_method_learned_from_tells_it_apart(data, make_pairs, tmp_path):
    """Only what learns depends on the images to learn from, and knows them."""
    pairs, other = find_pairs(data), find_pairs(make_pairs(tmp_path / "other", 2, first=30))
    learns, stated = read_sources(["otsu", "otsu(cells=dark, smooth_px=1, offset=0)"])
    first, second = (entry(learns, Given(Config(), train), pairs) for train in (pairs, other))
    assert first.identity != second.identity
    assert len(first.known) == 2 * len(pairs)
    first, second = (entry(stated, Given(Config(), train), pairs) for train in (pairs, other))
    assert first.identity == second.identity
    assert not first.known
