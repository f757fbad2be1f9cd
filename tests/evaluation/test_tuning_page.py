"""The page of a search, and what it says of the settings that mattered."""

from html.parser import HTMLParser

import numpy as np
import pytest

from cryoseg_tf import Config
from cryoseg_tf.data import Split
from cryoseg_tf.evaluation.importance import FEWEST, importances
from cryoseg_tf.evaluation.tuning_page import render
from cryoseg_tf.training.parameter import Parameter
from cryoseg_tf.training.space import SPACES, Space
from cryoseg_tf.training.task import Task
from cryoseg_tf.training.tuning_result import Record, TuningResult


def records(count, score, seed=0):
    """``score(rate, kind, size, noise)`` of so many trials at random."""
    chance, made = np.random.default_rng(seed), []
    for number in range(count):
        values = {"rate": float(10 ** chance.uniform(-4, -1)), "kind": str(chance.choice(["a", "b", "c"]))}
        values["size"] = int(chance.integers(1, 9))
        value = score(**values, noise=chance.normal())
        made.append(Record(f"{number:02}", "done", value, 60.0, 5, values, ""))
    return made


def result(tmp_path, made):
    parameters = (
        Parameter("rate", "float", ends=(1e-4, 1e-1), log=True),
        Parameter("kind", "choice", ("a", "b", "c")),
        Parameter("size", "int", ends=(1, 8)),
    )
    space = Space(SPACES / "thesis.yaml", parameters, {}, {})
    return TuningResult(tmp_path / "search", Task(Config(), space, Split((), ())), made, max(30, len(made)), 3600.0)


def test_what_decides_the_score_is_what_mattered():
    found = importances(
        records(40, lambda rate, kind, size, noise: 0.9 - 0.1 * abs(np.log10(rate) + 2) + 0.002 * noise)
    )
    assert found.explained > 0.7
    assert found.of["rate"] > 0.5
    assert all(abs(found.of[name]) < 0.1 for name in ("kind", "size"))
    found = importances(records(40, lambda rate, kind, size, noise: 0.5 + 0.3 * (kind == "b")))
    assert found.of["kind"] > 10 * abs(found.of["rate"])


def test_chance_is_called_chance(tmp_path):
    made = records(30, lambda rate, kind, size, noise: 0.8 + 0.01 * noise)
    assert importances(made).explained < 0.1
    assert "differences\nthat are chance" in render(result(tmp_path, made))


def test_few_trials_say_nothing(tmp_path):
    made = records(FEWEST - 1, lambda rate, kind, size, noise: rate)
    assert importances(made) is None
    assert importances(records(20, lambda rate, kind, size, noise: 0.5)) is None
    assert f"at least {FEWEST} trials" in render(result(tmp_path, made))


class Page(HTMLParser):
    """Collects what a page refers to, and its cells."""

    def __init__(self, text):
        super().__init__()
        self.links, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]


def test_the_page_needs_nothing_else_and_names_failures(tmp_path):
    made = records(12, lambda rate, kind, size, noise: rate)
    made[3] = made[3]._replace(status="failed", score=None, reason="<script>it diverged</script>")
    page = render(result(tmp_path, made))
    assert "&lt;script&gt;it diverged&lt;/script&gt;" in page
    parsed = Page(page)
    assert parsed.tags.count("svg") == 3
    assert "script" not in parsed.tags
    assert all(link.startswith("#") for link in parsed.links)
    assert f"{max(r.score for r in made if r.score is not None):.3f}" in page


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_page_of_the_first_trials(tmp_path, count):
    made = records(count, lambda rate, kind, size, noise: rate)
    assert f"{count} of 30 trials" in render(result(tmp_path, made))
    alone = [record._replace(status="running", score=None) for record in made]
    assert "0 of 30 trials" in render(result(tmp_path, alone))
