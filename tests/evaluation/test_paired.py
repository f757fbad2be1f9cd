"""Paired statistics against examples that were published with their results, and against counting by hand."""

import itertools

import numpy as np
import pytest
from scipy.stats import rankdata

from cryoseg_tf.evaluation.paired import Drawing, compare_pairs, holm, rank_biserial, signed_rank

DRAWING = Drawing(500, 0)

# Darwin's maize, 1/8 inch: crossed less self-fertilised plants; the example of SciPy's own documentation
MAIZE = [6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75]

# Hollander & Wolfe 1973, Nonparametric Statistical Methods, 29f: Hamilton depression scale before and after; the
# example of R's wilcox.test, which gives V = 40 and the exact one-sided p = 0.01953
BEFORE = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
AFTER = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]

# Demšar 2006 (Journal of Machine Learning Research 7:1-30), Table 2: AUC of C4.5, and of C4.5 with m tuned
C45 = [0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1.000, 0.940, 0.619, 0.972, 0.957]
TUNED = [0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1.000, 0.962, 0.666, 0.981, 0.978]


def test_wilcoxon_as_scipys_documentation_has_it():
    assert signed_rank(MAIZE) == pytest.approx(0.041259765625)


def test_wilcoxon_as_hollander_and_wolfe_have_it():
    [pair] = compare_pairs({"before": BEFORE, "after": AFTER}, None, DRAWING)
    assert pair.p == pytest.approx(2 * 0.01953125)
    assert pair.effect == pytest.approx((40 - 5) / 45)
    assert (pair.wins, pair.ties, pair.losses) == (7, 0, 2)


def test_wilcoxon_as_demsar_has_it():
    """The sums of ranks are 93 and 12, equal scores and equal differences included; 21 would be significant."""
    [pair] = compare_pairs({"tuned": TUNED, "C4.5": C45}, None, DRAWING)
    assert pair.effect == pytest.approx((93 - 12) / 105)
    assert pair.p < 0.05
    assert (pair.wins, pair.ties, pair.losses) == (10, 2, 2)


def test_holm_as_demsar_has_it():
    """Section 3.2.2: of 0.016, 0.019 and 0.607 the first two are significant at 0.05, by 0.05/3, 0.05/2 and 0.05/1."""
    np.testing.assert_allclose(holm([0.607, 0.016, 0.019]), [0.607, 0.048, 0.048])


def test_holm_keeps_the_order_and_stays_below_1():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.4, 0.9]), [0.8, 0.9])
    np.testing.assert_allclose(holm([0.6, 0.9]), [1, 1])


def test_what_was_not_tested_is_not_corrected_for():
    np.testing.assert_allclose(holm([0.5, np.nan, 0.02]), [0.5, np.nan, 0.04])


@pytest.mark.parametrize("differences", [[3, -1, 2, 5], [1, 1, -1, 2, 2, 0], [0, 0, 4, -4, 5, 6, 7], range(1, 7)])
def test_the_test_is_exact_also_with_ties_and_zeros(differences):
    """By counting: under the null hypothesis each difference has either sign."""
    ranks, signs = rankdata(np.abs(differences)), np.sign(differences)
    seen = abs((signs * ranks).sum())
    flips = itertools.product((-1, 1), repeat=len(ranks))
    shares = [abs((np.array(flip) * ranks * np.abs(signs)).sum()) >= seen - 1e-9 for flip in flips]
    assert signed_rank(differences) == pytest.approx(np.mean(shares))


@pytest.mark.parametrize("units", range(2, 9))
def test_the_smallest_p_is_that_of_differences_of_one_sign(units):
    first = np.arange(1.0, units + 1)
    [pair] = compare_pairs({"a": first, "b": np.zeros(units)}, None, DRAWING)
    assert pair.p == pytest.approx(pair.smallest)
    assert (pair.smallest < 0.05) == (units >= 6)
    assert pair.effect == 1


def test_the_other_way_round_signs_change():
    (one,), (other,) = (compare_pairs(dict(both), None, DRAWING) for both in itertools.permutations(
        [("a", BEFORE), ("b", AFTER)]
    ))  # fmt: skip
    assert (one.first, one.second, one.wins, one.losses) == ("a", "b", other.losses, other.wins)
    assert one.p == other.p
    assert one.effect == -other.effect
    mean, (low, high) = one.difference
    assert other.difference == (-mean, (pytest.approx(-high), pytest.approx(-low)))


def test_groups_are_what_is_tested_and_drawn():
    """Eight images of two grids: as images they would be significant, as grids they are two."""
    first = [0.9, 0.8, 0.7, 0.9, 0.5, 0.6, 0.7, 0.8]
    second = [0.8, 0.6, 0.4, 0.5, 0.0, 0.0, 0.0, 0.0]
    [alone] = compare_pairs({"a": first, "b": second}, None, DRAWING)
    [grouped] = compare_pairs({"a": first, "b": second}, list("xxxxyyyy"), DRAWING)
    assert (alone.unit, alone.units, grouped.unit, grouped.units) == ("image", 8, "group", 2)
    assert alone.p == pytest.approx(2**-7)
    assert grouped.p == 0.5
    assert grouped.difference[0] == alone.difference[0] == pytest.approx(0.45)
    assert grouped.difference[1] == (pytest.approx(0.25), pytest.approx(0.65))
    assert (grouped.wins, grouped.losses) == (8, 0)


def test_groups_of_one_image_each_are_tested_as_images():
    names = [f"grid{number}" for number in range(len(BEFORE))]
    [grouped] = compare_pairs({"a": BEFORE, "b": AFTER}, names, DRAWING)
    [alone] = compare_pairs({"a": BEFORE, "b": AFTER}, None, DRAWING)
    assert (grouped.p, grouped.effect, grouped.difference) == (alone.p, alone.effect, alone.difference)


def test_images_without_a_score_leave_the_pairs_that_lack_it():
    a, b, c = [0.5, 0.6, np.nan, 0.8], [0.4, np.nan, 0.3, 0.5], [np.nan] * 4
    ab, ac, bc = compare_pairs({"a": a, "b": b, "c": c}, None, DRAWING)
    assert (ab.units, ab.wins, ab.ties, ab.losses) == (2, 2, 0, 0)
    assert ab.difference[0] == pytest.approx(0.2)
    assert (ac.units, bc.units) == (0, 0)
    assert np.isnan([ac.p, ac.effect, ac.difference[0], ac.holm]).all()
    assert ab.tests == 1


def test_equal_scores_are_no_difference():
    [pair] = compare_pairs({"a": BEFORE, "b": BEFORE}, None, DRAWING)
    assert (pair.p, pair.effect, pair.ties) == (1, 0, len(BEFORE))


def test_each_is_compared_with_each_and_corrected_for_all():
    scores = {name: np.arange(8.0) * factor for name, factor in zip("abc", (1, 2, 4), strict=True)}
    pairs = compare_pairs(scores, None, DRAWING)
    assert [(pair.first, pair.second) for pair in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [pair.holm for pair in pairs] == [pytest.approx(3 * pair.p) for pair in pairs]
    assert {pair.smallest for pair in pairs} == {3 * 2**-7}


def test_the_last_bit_ranks_nothing():
    """0.3 less 0.2 and 0.2 less 0.1 differ in floating point alone."""
    assert rank_biserial([0.1, -0.1]) == 0
    [pair] = compare_pairs({"a": [0.3, 0.1], "b": [0.2, 0.2]}, None, DRAWING)
    assert pair.effect == 0
