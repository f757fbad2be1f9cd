import math
import warnings
from xml.etree import ElementTree

import numpy as np
import pytest

from cryoseg_tf.evaluation.figures import (
    AMBER,
    BLUE,
    boxplots,
    learning_curves,
    precision_recall,
    recall_by_kind,
    recall_by_size,
    reliability_diagram,
)

SVG = "{http://www.w3.org/2000/svg}"
LINES = (f"{SVG}text", f"{SVG}tspan")
RELIABILITY = np.array([[0.55, 0.5, 0.1], [0.7, 0.65, 0.2], [0.98, 0.99, 0.7]])
CURVE = np.array([[0.0, 1.0, 0.3], [0.5, 0.8, 0.7], [0.9, 0.2, 0.95]])
KINDS = {
    "round": {"objects": 4, "found": 3, "recall": 0.75, "ci95": [0.5, 1.0]},
    "$x$ <b>": {"objects": 1, "found": 0, "recall": 0.0, "ci95": [None, None]},
}
SIZES = np.array([1.0, 2.0, 3.0, 4.0]), np.array([False, True, True, True])
HISTORY = [
    {"epoch": 1.0, "loss": 0.9, "val_loss": 0.8, "val_dice": 0.3},
    {"epoch": 2.0, "loss": 0.5, "val_loss": 0.6, "val_dice": 0.7},
    {"epoch": 3.0, "loss": 0.4, "val_loss": 0.7, "val_dice": 0.6},
]


def words(svg: str) -> set[str]:
    """The lines of text in a figure."""
    return {"".join(node.itertext()).strip() for node in ElementTree.fromstring(svg).iter() if node.tag in LINES}


@pytest.mark.parametrize("best", [2, None, 9])
@pytest.mark.parametrize("count", [1, 3])
def test_learning_curves_are_svg_of_fixed_bytes(count, best):
    svg = learning_curves(HISTORY[:count], best)
    assert svg == learning_curves(HISTORY[:count], best)
    assert ElementTree.fromstring(svg).tag == f"{SVG}svg"
    assert ("0.700 at epoch 2, which was kept" in svg) == (best == 2 and count == 3)


def test_boxplots_leave_nan_out():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = boxplots({"Recall": [0.5, math.nan], "Dice": [math.nan, math.nan], "IoU": [0.1, 0.9]})
    assert {"Recall", "n = 1", "n = 0"} <= words(svg)


def test_figures_take_their_ink_from_the_page_and_share_no_id():
    curves, boxes = learning_curves(HISTORY, 2), boxplots({"Dice": [0.5, 0.6]})
    others = (precision_recall(CURVE, (0.8, 0.7)), recall_by_kind(KINDS), recall_by_size(*SIZES, "µm"))
    for svg in (curves, boxes, reliability_diagram({"as given": RELIABILITY}), *others):
        assert "var(--ink" in svg
        root = ElementTree.fromstring(svg)
        ids = [node.attrib["id"] for node in root.iter() if "id" in node.attrib]
        assert len(set(ids)) == len(ids)
        assert "date" not in svg.lower()


def test_a_reliability_diagram_names_its_curves_where_there_are_two():
    one, two = (dict.fromkeys(names, RELIABILITY) for names in (["now"], ["then", "now"]))
    assert ">now<" not in reliability_diagram(one)
    svg = reliability_diagram(two)
    assert ">now<" in svg
    assert ">then<" in svg
    assert svg == reliability_diagram(two)
    # whoever is called by the last name keeps the colour
    assert BLUE in reliability_diagram(one)
    assert AMBER not in reliability_diagram(one)


def test_the_masks_are_a_point_on_the_precision_recall_curve():
    assert "recall 0.800, precision 0.700" in words(precision_recall(CURVE, (0.8, 0.7)))
    assert not any(word.startswith("recall ") for word in words(precision_recall(CURVE, (math.nan, 0.7))))


def test_kinds_have_bars_under_any_name():
    svg = recall_by_kind(KINDS)
    assert {"round", "$x$ <b>", "3 of 4", "0 of 1"} <= words(svg)
    assert "<b>" not in svg


def test_sizes_are_divided_into_bins_of_as_many_objects():
    sizes = np.arange(17, 1, -1.0)
    assert {"2 to 9", "0 of 8", "10 to 17", "8 of 8"} <= words(recall_by_size(sizes, sizes > 9, "µm"))
    assert {"1 to 4", "3 of 4"} <= words(recall_by_size(*SIZES, "µm"))
    many = recall_by_size(np.arange(1.0, 1001), np.ones(1000, bool), "pixels")
    assert sum(word == "125 of 125" for word in words(many)) == 1
    assert {"1 to 125", "876 to 1000"} <= words(many)
