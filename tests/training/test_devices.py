"""Which devices a training takes, and what it says where they are not there."""

import json

import pytest

from cryoseg_tf import Config
from cryoseg_tf.errors import ConfigError
from cryoseg_tf.training import cluster
from cryoseg_tf.training.cluster import Member, member
from cryoseg_tf.training.devices import check_batch, find_devices, refuse_cluster, with_cluster

WORKERS = ["10.0.0.1:2222", "10.0.0.2:2222"]


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Nothing says that this process is one of several."""
    for name in ("TF_CONFIG", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)


def strategy(name, batch=8):
    return Config().replace({"training.strategy": name, "training.batch_size": batch})


def test_auto_takes_one_device_where_there_is_no_graphics_card():
    devices = find_devices(strategy("auto").training)
    assert (devices.replicas, devices.workers, devices.first) == (1, 1, True)
    assert "no graphics card" in devices.words
    assert with_cluster(strategy("auto")) == strategy("auto")


def test_what_is_not_there_is_refused():
    with pytest.raises(ConfigError, match=r"mirrored, and there are not two graphics cards here: set it to auto"):
        find_devices(strategy("mirrored").training)
    with pytest.raises(ConfigError, match=r"multiworker, and neither TF_CONFIG nor srun names other processes"):
        find_devices(strategy("multiworker").training)
    with pytest.raises(ConfigError, match=r"folds are trained by one process: set it to auto"):
        refuse_cluster(strategy("multiworker").training, "folds are trained by one process")


@pytest.mark.parametrize(("batch", "near"), [(8, "6 or 9"), (2, "3")])
def test_a_batch_is_divided_evenly(batch, near):
    with pytest.raises(ConfigError, match=rf"training.batch_size is {batch}: .* a multiple of 3, as {near}$"):
        check_batch(batch, 3)
    check_batch(9, 3)


def named(task, **jobs):
    return json.dumps({"cluster": jobs, "task": task})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (named({"type": "worker", "index": 1}, worker=WORKERS), Member(tuple(WORKERS), 1)),
        (named({"type": "chief", "index": 0}, chief=WORKERS[:1], worker=WORKERS[1:]), Member(tuple(WORKERS), 0)),
        (named({"type": "worker", "index": 0}, chief=WORKERS[:1], worker=WORKERS[1:]), Member(tuple(WORKERS), 1)),
        (named({"type": "worker", "index": 0}, worker=WORKERS[:1]), None),
    ],
)
def test_tf_config_names_the_workers(monkeypatch, text, found):
    monkeypatch.setenv("TF_CONFIG", text)
    assert member() == found
    assert with_cluster(strategy("auto")).training.strategy == ("multiworker" if found else "auto")
    assert with_cluster(strategy("one")) == strategy("one")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"cluster": {}}',
        named({"type": "worker", "index": 2}, worker=WORKERS),
        named({"type": "ps", "index": 0}, worker=WORKERS, ps=WORKERS),
        named({"type": "evaluator", "index": 0}, worker=WORKERS),
    ],
)
def test_a_tf_config_that_cannot_be_used_is_refused(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ConfigError, match="TF_CONFIG cannot be used: ") as told:
        member()
    assert "Error" not in str(told.value)


def test_srun_numbers_tasks_as_it_lists_hosts(monkeypatch):
    said = {"STEP_NUM_TASKS": "3", "STEP_NODELIST": "node[9-10]", "STEP_TASKS_PER_NODE": "2,1", "PROCID": "2"}
    for name, value in {**said, "JOB_ID": "1001"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    first = cluster.PORTS + cluster.PORTS_EACH
    assert member() == Member((f"node9:{first}", f"node9:{first + 1}", f"node10:{first}"), 2)
