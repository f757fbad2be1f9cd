"""A predictor that one can compute by hand, bright pixels being cells; and a real browser."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from cryoseg_tf.config import Config, Contract
from cryoseg_tf.data.pairs import Pair, find_pairs
from cryoseg_tf.io import atomic
from cryoseg_tf.run import Run, RunInfo
from cryoseg_tf.segmentation.segmenter import Segmenter

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SWITCHES = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--remote-debugging-port=0", "--window-size=1280,900",
]  # fmt: skip
PATIENCE = 20


class Bright:
    """The probability of the foreground is the normalised intensity; with more classes, one each for its thirds."""

    stride, halo, batch = 1, 0, 1

    def __init__(self, channels: int = 1) -> None:
        self.channels = channels

    def map(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for batch in batches:
            if self.channels == 1:
                yield batch
            else:
                yield np.float32(np.round(batch * (self.channels - 1)) == np.arange(self.channels))


@pytest.fixture
def bright() -> Callable[..., Segmenter]:
    """``bright(classes=("background", "cell"), **contract)`` makes a segmenter without a network."""

    def make(classes: tuple[str, ...] = ("background", "cell"), **contract: object) -> Segmenter:
        known = Contract(classes=classes, **contract)
        return Segmenter(Bright(known.channels), known)

    return make


@pytest.fixture
def config() -> Config:
    return Config().replace({"evaluation.resamples": 200})


@pytest.fixture
def write() -> Callable[..., list[Pair]]:
    """``write(root, {name: (cells, mask)})`` writes images that are bright where ``cells`` is 1, or 2."""

    def make(root: Path, content: dict[str, tuple[np.ndarray, np.ndarray]]) -> list[Pair]:
        for name, (cells, mask) in content.items():
            for part, pixels in (("images", 40 + 80 * cells), ("masks", mask)):
                (root / part).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8)).save(root / part / name)
        return find_pairs(root)

    return make


def square(top: int, left: int, side: int = 8) -> np.ndarray:
    """A 24x24 image with one square."""
    mask = np.zeros((24, 24), np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


@pytest.fixture
def four(write, tmp_path) -> list[Pair]:
    """Four images with Dice 1, 1/2 (half beside), 0 (all beside) and 2/3 (half of it found)."""
    half = square(4, 4)
    half[8:] = 0
    found = {"a.png": square(4, 4), "b.png": square(4, 8), "c.png": square(4, 14), "d.png": half}
    return write(tmp_path / "four", {name: (cells, square(4, 4)) for name, cells in found.items()})


@pytest.fixture
def run(tmp_path) -> Run:
    """What training leaves behind, as far as a report reads it; there is no network in it."""
    folder, config = Run(tmp_path / "run"), Config()
    folder.path.mkdir()
    contract = Contract(classes=config.data.classes, scale="pixel_size", pixel_size=50.0, pixel_size_range=(20.0, 90.0))
    info = RunInfo(status="finished", requested=config, contract=contract, best_epoch=2, validation_dice=0.7)
    atomic.write_json(folder.path / "run.json", info.model_dump(mode="json"))
    atomic.write_json(
        folder.path / "split.json", {"train": ["images/<t>.png", "images/u.png"], "validation": ["v.png"]}
    )
    atomic.write_json(folder.path / "environment.json", {"packages": {"keras": "3"}, "python": "3.11", "files": {}})
    config.save(folder.path / "config.yaml")
    history = ["epoch,loss,val_loss,val_dice", "1,0.9,0.8,0.3", "2,0.5,0.6,0.7", "3,0.4,0.7,0.6"]
    atomic.write_text(folder.path / "history.csv", "\n".join(history) + "\n")
    return folder


class Browser:
    """One tab, spoken to over the DevTools protocol; what went wrong in it gathers in ``errors``."""

    def __init__(self, profile: Path) -> None:
        from websockets.sync.client import connect

        command = [CHROMIUM, *SWITCHES, f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.errors: list[Any] = []
        self.addresses: list[str] = []
        self._heard: list[str] = []
        self._count, self._session, self._open = 0, None, ExitStack()
        try:
            where = profile / "DevToolsActivePort"
            wait_for(lambda: where.is_file() and where.read_text().count("\n"))
            port, path = where.read_text().split()
            self._socket = self._open.enter_context(connect(f"ws://127.0.0.1:{port}{path}", max_size=None))
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._open.close()
        self.process.terminate()
        self.process.wait(PATIENCE)

    def call(self, method: str, **parameters: Any) -> Any:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        self._socket.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while (answer := self._receive()).get("id") != self._count:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def processor_time(self) -> float:
        """Seconds that all processes of the browser have computed; what else the machine does adds nothing."""
        first = psutil.Process(self.process.pid)
        return sum(sum(one.cpu_times()[:2]) for one in (first, *first.children(recursive=True)))

    def open(self, path: Path) -> None:
        self._heard.clear()
        self.call("Page.navigate", url=path.as_uri())
        while "Page.loadEventFired" not in self._heard:
            self._receive()

    def value(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        wait_for(lambda: self.value(expression))

    def key(self, *keys: str) -> None:
        for key in keys:
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **({"text": text} if text else {}))
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self.call("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **more)

    def click(self, selector: str, number: int = 0) -> None:
        element = f"document.querySelectorAll({json.dumps(selector)})[{number}]"
        self.value(f"{element}.scrollIntoView({{block: 'center'}})")
        box = self.value(
            f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])({element}.getBoundingClientRect())"
        )
        for kind in ("Pressed", "Released"):
            self.mouse(kind, *box, button="left", clickCount=1)

    def _receive(self) -> dict[str, Any]:
        message = json.loads(self._socket.recv(timeout=PATIENCE))
        method, content = message.get("method", ""), message.get("params", {})
        self._heard.append(method)
        entry = content.get("entry", {})
        # what a test itself does, reading pixels back, is called slow
        if method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled") or entry.get("level") == "error":
            self.errors.append(content)
        if method == "Network.requestWillBeSent":
            self.addresses.append(content["request"]["url"])
        return message


def wait_for(done: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium here to open the report with")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """A browser that must not have had anything to complain of, nor asked for anything but the page."""
    chromium.errors.clear()
    chromium.addresses.clear()
    yield chromium
    assert chromium.errors == []
    assert {address.partition(":")[0] for address in chromium.addresses} <= {"file", "data"}
