"""Masks from many processes are those of one. Scheduler and workers are real, and one is really killed."""

import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import pytest
from PIL import Image

from cryoseg_tf.errors import DataError

CLI = [sys.executable, "-m", "cryoseg_tf.cli.main"]
IMAGES = 200
pytest.importorskip("distributed", reason="Dask is not installed")


@contextmanager
def started(*words, **options):
    process = subprocess.Popen([str(word) for word in words], stderr=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def cluster(folder, workers):
    """A scheduler and its workers; gives the scheduler file and the workers."""
    file, dask = folder / "scheduler.json", [sys.executable, "-m"]
    both = ("--no-dashboard", "--scheduler-file", file)
    scheduler = [*dask, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", 0, *both]
    alone = ("--nthreads", 1, "--no-nanny", "--local-directory", folder)
    worker = [*dask, "distributed.cli.dask_worker", *alone, *both]
    with ExitStack() as stack:
        stack.enter_context(started(*scheduler))
        wait_for(file.is_file)
        yield file, [stack.enter_context(started(*worker)) for _ in range(workers)]


def wait_for(condition, limit=90.0):
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def segment(trained, images, out, *words):
    command = [*CLI, "segment", trained, images, "--out", out, *words]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)


def masks(out):
    return {path.name: path.read_bytes() for path in out.glob("*.png")}


@pytest.mark.slow
def test_a_killed_workers_images_are_done_by_the_other(trained, tmp_path, make_pairs):
    images = make_pairs(tmp_path / "data", IMAGES) / "images"
    out = tmp_path / "out"
    with cluster(tmp_path, 2) as (file, workers):
        command = [*CLI, "segment", trained, images, "--out", out, "--dask", file, "--threads", 1]
        with started(*command, stdout=subprocess.PIPE, text=True) as client:
            wait_for(lambda: len(masks(out)) > IMAGES // 10)
            workers[0].kill()
            assert len(masks(out)) < IMAGES
            said, _ = client.communicate(timeout=300)
        assert client.returncode == 0, said
        assert f"{IMAGES} masks are in {out}" in said
        again = segment(trained, images, out, "--dask", file)
    assert again.stdout.count("done before") == IMAGES + 1
    assert segment(trained, images, tmp_path / "whole").returncode == 0
    assert masks(out) == masks(tmp_path / "whole")


def test_workers_here_take_bad_files_for_what_they_are(trained, tmp_path, data):
    (data / "images" / "bad.png").write_bytes(b"\x89PNG")
    Image.new("RGB", (64, 64), "red").save(data / "images" / "red.png")
    result = segment(trained, data / "images", tmp_path / "out", "--workers", 1)
    assert result.returncode == 1, result.stderr
    assert sorted(line.split(":")[0] for line in result.stdout.splitlines()[:8] if "FAILED" in line) == ["FAILED"] * 2
    assert "red.png is in colour" in result.stdout
    assert "Traceback" not in result.stderr
    assert len(masks(tmp_path / "out")) == 6


def test_a_scheduler_that_is_not_there_is_an_error(monkeypatch):
    from cryoseg_tf.segmentation import cluster as subject

    monkeypatch.setattr(subject, "PATIENCE", 1)
    with pytest.raises(DataError, match=r"there is no Dask scheduler at tcp://127\.0\.0\.1:9"):
        subject.connected("tcp://127.0.0.1:9").__enter__()


def test_an_address_that_is_none_ends_at_once(trained, data, tmp_path):
    started = time.monotonic()
    result = segment(trained, data / "images", tmp_path / "out", "--dask", "127.0.0.1")
    assert result.returncode == 2
    assert "no Dask scheduler at 127.0.0.1: missing port" in result.stderr
    assert time.monotonic() - started < 45  # a client that was given up would hang


def test_workers_and_a_cluster_exclude_each_other(cli, trained, data, tmp_path):
    result = cli("segment", trained, data, "--out", tmp_path / "out", "--workers", 2, "--dask", "tcp://127.0.0.1:9")
    assert result.exit_code == 2
    assert "exclude each other" in result.stderr
