"""Quality of the presets and of two competitors, on the phantom and on real images, at equal minutes and equal base.

    python benchmarks/quality.py [--sets phantom dsb2018] [--methods thesis balanced] [--minutes 2] [--base 16]
        [--seeds 3] [--epochs N] [--threads N] [--data ../shared/data] [--out build/quality.jsonl]

A method is a preset (thesis, balanced, fast, accurate), ``torch_thesis`` or ``forest`` (see the files of these
names), ``NAME=settings.yaml``, or ``NAME:training.loss=dice,model.depth=5``: balanced with settings changed.
Each runs in a process of its own. Minutes go from reading the images to the model on disk; fixed
``--epochs`` instead make ablations repeatable; the forest takes the time it takes. A set with one image to
train on is divided by area, and there a preset that resizes to 512x512, as thesis does, goes without that.

Per set and method there is a row; see ``quality_table``. ``--out`` gets a line of JSON for each training, and
what is in it already is not done again. Choose a new file after a change to a preset, or to the package.
"""

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import yaml
from datasets import SETS, annotated, classes_of, prepare
from quality_table import Record, mean_dice, print_ratios, print_table

from cryoseg_tf import Config, CryoSegError
from cryoseg_tf.config import EvaluationConfig

OBJECTS = EvaluationConfig(minimum_area=16, connectivity=8)
"""Named, lest a change of the defaults changes what is compared; under 16 pixels is a stroke of the pen."""

KEY = ("set", "method", "seed", "minutes", "epochs", "base")
COMPETITORS = {"torch_thesis": ("thesis_torch", "torch"), "forest": ("forest", "sklearn")}
"""The file of each, and the package it needs."""


def main() -> None:
    options = parsed()
    if options.one:
        print(json.dumps(one(json.loads(options.one))))
        return
    methods = [method for method in options.methods if available(method, options.base)]
    with tempfile.TemporaryDirectory() as folder:
        for name in options.sets:
            place = prepare(name, options.data, Path(folder))
            if place is None:
                print(f"{name}: skipped, {options.data} does not hold it; pass --data")
                continue
            for task in tasks(name, place, methods, options):
                work(task, options.out)
            print_table(name, chosen(options, name, methods))
    print_ratios({name: chosen(options, name, methods) for name in options.sets})


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sets = ["phantom", *SETS]
    usual = [name for name in sets if name != "dsb2018_all"]
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--sets", nargs="+", choices=sets, default=usual, metavar="SET", help=", ".join(sets))
    parser.add_argument("--methods", nargs="+", default=["thesis", "balanced"], metavar="METHOD")
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=root / "build" / "quality.jsonl")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--epochs", type=int, help="instead of minutes")
    parser.add_argument("--base", type=int, default=16, help="of all methods; 0: of each preset its own")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.epochs:
        options.minutes = None
    return options


def available(method: str, base: int) -> bool:
    """Whether a method can run; a wrong one ends the benchmark before it begins."""
    if method in COMPETITORS:
        package = COMPETITORS[method][1]
        if importlib.util.find_spec(package) is None:
            print(f"{method}: skipped, {package} is missing; pip install 'cryoseg-tf[bench]'")
            return False
        return True
    try:
        settings(method, base, 0)
    except CryoSegError as error:
        raise SystemExit(f"{method}: {error}") from None
    return True


def settings(method: str, base: int, seed: int) -> Config:
    """Return the config that a method stands for."""
    changed = re.fullmatch(r"[\w-]+:(.*)", method)
    given = re.fullmatch(r"[\w-]+=(.*)", method)
    config = Config.load(Path(given[1])) if given else Config.preset("balanced" if changed else method)
    config = config.replace({"seed": seed} | ({"model.base_filters": base} if base else {}))
    # a comma parts settings where a dotted name follows; others stand inside brackets
    items = re.split(r",(?=\w+(?:\.\w+)+=)", changed[1]) if changed else []
    pairs = [item.partition("=") for item in items]
    return config.replace({name.strip(): yaml.safe_load(value) for name, _, value in pairs})


def tasks(name: str, place: Path, methods: Sequence[str], options: argparse.Namespace) -> Iterator[Record]:
    """Yield what is still to be done; methods take turns, so that a slow hour does not harm one alone."""
    done = {tuple(r[k] for k in KEY) for r in records(options.out)}
    shared = {key: getattr(options, key) for key in ("minutes", "epochs", "base", "threads")}
    for seed in range(options.seeds):
        for method in methods:
            task = {"set": name, "method": method, "seed": seed, "folder": str(place), **shared}
            if tuple(task[k] for k in KEY) not in done:
                yield task


def work(task: Record, out: Path) -> None:
    """Run one task in its own process, and keep the result."""
    threads = {"OMP_NUM_THREADS": str(task["threads"])} if task["threads"] else {}
    done = subprocess.run(
        [sys.executable, __file__, "--one", json.dumps(task)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **threads},
        capture_output=True,
        text=True,
        check=False,
    )
    about = f"{task['set']}, {task['method']}, seed {task['seed']}"
    if done.returncode:
        print(f"{about}: failed: {(done.stderr.strip() or 'no message').splitlines()[-1]}", flush=True)
        return
    record = task | json.loads(done.stdout.splitlines()[-1])
    del record["folder"]
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    print(f"{about}: Dice {mean_dice([record]):.4f}, {record['took']:.2f} minutes, {record['remark']}", flush=True)


def one(task: Record) -> Record:
    """Train, segment and score; what ``--one`` does."""
    folder, method = Path(task["folder"]), task["method"]
    run = importlib.import_module(COMPETITORS[method][0]).run if method in COMPETITORS else package
    with tempfile.TemporaryDirectory() as place:
        masks, minutes, remark = run(folder, Path(place), task)
    classes = len(classes_of(folder))
    images = {name: scored(truth, masks[name], classes) for name, _, truth in annotated(folder, "test")}
    return {"took": minutes, "remark": remark, "images": images}


def package(folder: Path, place: Path, task: Record) -> tuple[dict[str, np.ndarray], float, str]:
    """Train by the package's own API, as ``cryoseg-tf fit`` does; see ``forest.run`` for the rest."""
    import cryoseg_tf as cs

    cs.use_threads(task["threads"])
    fit, segmenter = cs.fit, cs.Segmenter  # TensorFlow is loaded here, outside the time, as the others' libraries are
    started = time.monotonic()
    config = cs.with_labels(settings(task["method"], task["base"], task["seed"]), folder, "train")
    pairs = cs.find_pairs(folder, "train")
    if task["epochs"]:
        config = config.replace({"training.epochs": task["epochs"]})
    if len(pairs) == 1:
        # strips of an image are not stretched to one shape: there the thesis goes without its resizing
        scale = "none" if config.data.scale == "shape" else config.data.scale
        config = config.replace({"data.split": "area", "data.scale": scale})
    divided = cs.split(pairs, config.data, config.seed, cs.find_groups(folder, pairs, config.data))
    result = fit(config, divided, place / "run", minutes=task["minutes"])
    minutes = (time.monotonic() - started) / 60
    trained = segmenter.from_run(result.run)
    tests = [(pair.name, cs.read_micrograph(pair.image)) for pair in cs.find_pairs(folder, "test")]
    masks = {name: trained.segment(micrograph).mask for name, micrograph in tests}
    return masks, minutes, f"epoch {result.best_epoch} of {result.epochs}, validation {result.dice:.3f}"


def scored(truth: np.ndarray, found: np.ndarray, classes: int) -> Record:
    """Return for each foreground class the Dice (None for 0/0), the objects found, and the objects there are."""
    from cryoseg_tf.evaluation import object_scores, pixel_scores

    values = [pixel_scores(truth, found, index).dice for index in range(1, classes)]
    objects = [object_scores(truth, found, index, OBJECTS) for index in range(1, classes)]
    return {
        "dice": [None if np.isnan(value) else value for value in values],
        "found": [scores.found for scores in objects],
        "objects": [len(scores.truth) for scores in objects],
    }


def records(out: Path) -> list[Record]:
    return [json.loads(line) for line in out.read_text("utf-8").splitlines()] if out.is_file() else []


def chosen(options: argparse.Namespace, name: str, methods: Sequence[str]) -> dict[str, list[Record]]:
    """Return what the file holds for a set under the options, by method."""
    wanted = (options.minutes, options.epochs, options.base)
    found: dict[str, list[Record]] = {method: [] for method in methods}
    for r in records(options.out):
        fits = r["set"] == name and (r["minutes"], r["epochs"], r["base"]) == wanted and r["seed"] < options.seeds
        if fits and r["method"] in found:
            found[r["method"]].append(r)
    return {method: rows for method, rows in found.items() if rows}


if __name__ == "__main__":
    main()
