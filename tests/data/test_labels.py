import json
import shlex

import pytest
import yaml

from cryoseg_tf.config import Config
from cryoseg_tf.data.labels import for_scoring, with_labels
from cryoseg_tf.errors import DataError

THREE = ("background", "cell", "ice")


def dataset(folder, labels):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps({"labels": labels, "numTraining": 6}))


def drawn(folder, *labels):
    """Replace the masks by LabelMe's shapes of these labels, one an image in turn."""
    for number, mask in enumerate(sorted((folder / "masks").iterdir())):
        shapes = [{"label": labels[number % len(labels)], "points": [[1, 1], [9, 9]], "shape_type": "rectangle"}]
        (folder / "images" / f"{mask.stem}.json").write_text(json.dumps({"shapes": shapes}))
        mask.unlink()
    (folder / "masks").rmdir()


@pytest.mark.parametrize(
    ("labels", "classes", "ignore"),
    [
        ({"background": 0, "cell": 1, "ice": 2}, THREE, None),
        ({"ice": 2, "cell": 1, "background": 0}, THREE, None),
        ({"background": 0, "cell": 1, "ice": 2, "ignore": 3}, THREE, 3),
        ({"background": "0", "cell": "1"}, THREE[:2], None),
        ({"0": "background", "1": "cell", "2": "ice"}, THREE, None),
        ({"0": "background", "1": "cell", "2": "ignore"}, THREE[:2], 2),
    ],
)
def test_nnunet_names_classes(data, labels, classes, ignore):
    dataset(data, labels)
    config = with_labels(Config(), data)
    assert (config.data.classes, config.data.ignore) == (classes, ignore)


@pytest.mark.parametrize("first", ["background", "BG", "_background_"])
def test_a_text_names_classes(data, first):
    (data / "classes.txt").write_text(f"{first}\r\n cell \r\ndense body\r\n\r\n", "utf-8-sig")
    assert with_labels(Config(), data).data.classes == (first, "cell", "dense body")


def test_what_the_user_says_counts(data):
    dataset(data, {"background": 0, "cell": 1, "ignore": 2})
    mine = Config().replace({"data.classes": ["nothing", "yeast"]})
    assert with_labels(mine, data) == mine
    assert with_labels(Config().replace({"data.ignore": 9, "data.patch": 64}), data).data.ignore == 9
    mine.save(data / "c.yaml")
    assert with_labels(Config.load(data / "c.yaml"), data) == mine


def test_names_may_lie_in_train(tmp_path, make_pairs):
    make_pairs(tmp_path / "train", 2)
    dataset(tmp_path / "train", {"background": 0, "yeast": 1})
    assert with_labels(Config(), tmp_path).data.classes == ("background", "yeast")


def test_without_names_nothing_changes(data):
    (data / "dataset.json").write_text('{"made by": "another program"}')
    assert with_labels(Config(), data) == Config()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ('{"labels": ["cell"]}', "of a form unknown here"),
        ('{"labels": {"background": 0, "cell": [1, 2]}}', "of a form unknown here"),
        ('{"labels": {"background": 0, "cell": 1.5}}', "of a form unknown here"),
        ('{"labels": {"0": 1, "1": 2}}', "no name"),
        ('{"labels": {"background": 0, "cell": 0}}', "a number to two labels"),
        ('{"labels": {"background": 0, "cell": 2}}', "0, 2: they must be 0, 1, 2"),
        ('{"labels": {"background": 0}}', "cannot be used: data.classes is"),
        ('{"labels": {"0": "cell", "1": "cell"}}', "class names must differ"),
        ('{"labels": {"background": 0, "cell": 1, "ignore": 300}}', "data.ignore is 300"),
    ],
)
def test_unusable_names_are_refused(data, content, words):
    (data / "dataset.json").write_text(content)
    with pytest.raises(DataError) as error:
        with_labels(Config(), data)
    assert words in str(error.value)
    assert "dataset.json" in str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"cell\nice\n", "'cell': put 'background' first"), (b"", "missing"), (b"background\n\ncell", "empty line"),
     (b"\xff\xfe\x00", "UTF-8")],
)  # fmt: skip
def test_an_unusable_text_is_refused(data, content, words):
    (data / "classes.txt").write_bytes(content)
    with pytest.raises(DataError) as error:
        with_labels(Config(), data)
    assert words in str(error.value)


def test_two_that_disagree_are_named(data):
    dataset(data, {"background": 0, "cell": 1})
    (data / "classes.txt").write_text("background\nice\n")
    with pytest.raises(DataError, match=r"dataset\.json .*classes\.txt background, ice"):
        with_labels(Config(), data)


def test_a_model_is_scored_against_its_own_classes_only(data):
    assert for_scoring(Config(), data) == Config()
    dataset(data, {"background": 0, "cell": 1})
    assert for_scoring(Config(), data) == Config()
    dataset(data, {"background": 0, "ice": 1})
    with pytest.raises(DataError, match=r"dataset\.json names the classes background, ice"):
        for_scoring(Config(), data)


def test_what_masks_ignore_is_said_by_the_data_that_is_scored(data):
    trained = Config().replace({"data.ignore": 9})
    dataset(data, {"background": 0, "cell": 1, "ignore": 2})
    assert for_scoring(trained, data).data.ignore == 2
    dataset(data, {"background": 0, "cell": 1})
    assert for_scoring(trained, data).data.ignore == 9


@pytest.mark.parametrize("labels", [["cell"], ["cell", "ignore"], ["background", "cell"]])
def test_shapes_of_the_default_classes_need_no_setting(data, labels):
    drawn(data, *labels)
    assert with_labels(Config(), data) == Config()


def test_other_labels_of_shapes_need_a_setting_which_is_named(data):
    drawn(data, "ice", "dense: body", "ignore")
    with pytest.raises(DataError, match=r"labels dense: body, ice, but") as error:
        with_labels(Config(), data)
    *_, setting = shlex.split(str(error.value).partition("pass ")[2])
    name, _, value = setting.partition("=")
    assert Config().replace({name: yaml.safe_load(value)}).data.classes == ("background", "dense: body", "ice")
