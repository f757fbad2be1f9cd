"""One sentence, which claims no more than the sample allows."""

import numpy as np
import pytest

from cryoseg_tf.evaluation.claims import claim
from cryoseg_tf.evaluation.paired import Drawing, compare_pairs

RISING = np.arange(1.0, 13) / 100


def sentence(differences, groups=None, others=(), seen=None):
    """Of ``unet`` less ``otsu``; ``others`` are more entries."""
    zeros = np.zeros(len(differences))
    scores = {"unet": differences, "otsu": zeros} | dict.fromkeys(others, zeros)
    pair, *_ = compare_pairs(scores, groups, Drawing(500, 0))
    return claim(pair, "Dice", seen or {})


@pytest.mark.parametrize("count", [2, 5])
def test_under_six_nothing_can_be_significant(count):
    said = sentence(RISING[:count])
    assert f"from {count} images no p-value below 0.05 is possible" in said
    assert "it may not be claimed that either is better on others." in said
    assert "mean Dice of unet is" in said


def test_six_are_enough_for_two_but_not_for_three():
    assert "It may be claimed that unet has a higher Dice than otsu" in sentence(RISING[:6])
    said = sentence(RISING[:6], others=["forest"])
    assert "from 6 images and with 3 comparisons no p-value below 0.05 is possible" in said


def test_groups_count_not_images():
    said = sentence(RISING, groups=list("aaabbbcccddd"))
    assert "from 4 groups no p-value below 0.05 is possible" in said


def test_a_difference_is_claimed_with_its_size_and_its_bounds():
    said = sentence(RISING, groups=[f"grid{n}" for n in range(12)])
    assert said.startswith("It may be claimed that unet has a higher Dice than otsu on images like these, by 0.0")
    assert "p = 0.00049 from 12 groups)" in said
    assert "not on those of another preparation or microscope" in said
    assert "that otsu has a higher Dice than unet" in sentence(-RISING)


def test_where_groups_are_unknown_independence_is_an_assumption():
    assert "from 12 images, taken to be independent)" in sentence(RISING)


def test_no_difference_is_not_the_same_as_equality():
    said = sentence(np.array([1, -1, 2, -2, 3, -3, 4, -4.5]) / 100)
    assert "no difference may be claimed" in said
    assert "nor that there is none: the mean difference may be anything from -0.0" in said


def test_most_images_better_but_one_much_worse():
    """The ranks say that the first is better, the mean does not."""
    said = sentence(np.array([*RISING, -1.0]))
    assert "It may be claimed that unet has a higher Dice than otsu on most images like these" in said
    assert "but not by how much: the mean difference may be anything from -" in said


def test_nothing_is_claimed_from_images_that_were_trained_on():
    said = sentence(RISING, seen={"unet": 3, "otsu": 0})
    assert said == "Nothing may be claimed of new images: unet was trained on 3 of these images."


def test_one_group_and_no_score_claim_nothing():
    assert "one group says nothing of others: no more may be claimed" in sentence(RISING, groups=["grid"] * 12)
    assert sentence([np.nan, np.nan]) == "Nothing may be claimed: no image has a score for both."


def test_equal_means_are_called_equal():
    assert "unet and otsu have the same mean Dice, but from 3 images" in sentence([0.25, -0.25, 0.0])
    assert sentence([0.0, 0.0]).startswith("On every one of these images unet and otsu have the same Dice")
