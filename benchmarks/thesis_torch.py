"""A competitor: the thesis' own recipe in PyTorch, as close as can be told, with nothing added.

    pip install torch
    python benchmarks/quality.py --methods torch_thesis thesis balanced

Images become 512x512 and 8 bit, ten random 256x256 crops of each an epoch are flipped and turned, and a U-Net of
depth 4 (Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28) with batch normalisation learns them in
batches of 20 by a Dice loss pooled over the batch, AdamW, and a rate that falls to a tenth at each
third of the epochs. The epoch of the best validation Dice is kept. float32, default memory layout.
"""

import copy
import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, everyone's name for it
from datasets import annotated, classes_of
from torch import Tensor, nn

from cryoseg_tf import Config, find_groups, find_pairs, split, with_labels
from cryoseg_tf.config import DataConfig
from cryoseg_tf.data.pairs import Pair, read_annotated

SIDE, CROP, COPIES, BATCH, EPOCHS = 512, 256, 10, 20, 30
DEPTH, RATE, DECAY = 4, 1e-3, 1e-8
STRIP = 416
"""Of a single image's 512 columns (or rows) those to train on: about 80 %, and a multiple of the stride."""

SAFETY = 0.95
"""The share of the minutes to fill, as in the package's own planning."""

Examples = list[tuple[Tensor, Tensor]]  # images (1, h, w) and their masks (h, w)


class Block(nn.Sequential):
    def __init__(self, inputs: int, outputs: int) -> None:
        layers = []
        for channels in (inputs, outputs):
            layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        super().__init__(*layers)


class UNet(nn.Module):
    """Maps ``(n, 1, h, w)`` to logits ``(n, channels, h, w)``; sides are multiples of 16."""

    def __init__(self, base: int, channels: int) -> None:
        super().__init__()
        widths = [base * 2**level for level in range(DEPTH + 1)]
        self.down = nn.ModuleList(Block(i, o) for i, o in zip([1, *widths[:-1]], widths, strict=True))
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.rise = nn.ModuleList(nn.ConvTranspose2d(deep, wide, 2, 2) for deep, wide in pairs)
        self.up = nn.ModuleList(Block(deep, wide) for deep, wide in pairs)
        self.head = nn.Conv2d(base, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        skipped = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            skipped.append(x)
        skipped.pop()
        for rise, block in zip(self.rise, self.up, strict=True):
            x = block(torch.cat([skipped.pop(), rise(x)], 1))
        return self.head(x)


class Training:
    """One training: the examples, the network, and the time it may take."""

    def __init__(self, folder: Path, task: dict[str, Any]) -> None:
        self.started, self.task = time.monotonic(), task
        self.rng = np.random.default_rng(task["seed"])
        torch.manual_seed(task["seed"])
        if task["threads"]:
            torch.set_num_threads(task["threads"])
        self.train, self.validation = _divide(folder, task["seed"])
        classes = len(classes_of(folder))
        self.model = UNet(task["base"], 1 if classes == 2 else classes)
        self.steps = -(-COPIES * len(self.train) // BATCH)

    def learn(self) -> int:
        """Train for the epochs that fit, leave the best epoch's weights in ``model``, and return the epochs."""
        optimizer = torch.optim.AdamW(self.model.parameters(), RATE, weight_decay=DECAY)
        epochs = self._epochs(optimizer)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, -(-epochs // 3), 0.1)
        best, kept, done = -1.0, self.model.state_dict(), 0
        while done < epochs and not (done and self._late()):
            for batch in itertools.takewhile(lambda _: not self._late(), self._batches()):
                _step(self.model, optimizer, *batch)
            schedule.step()
            done += 1
            dice = validation_dice(self.model, self.validation)
            if dice > best:
                best, kept = dice, copy.deepcopy(self.model.state_dict())
        self.model.load_state_dict(kept)
        return done

    def _late(self) -> bool:
        minutes = self.task["minutes"]
        return minutes is not None and time.monotonic() - self.started > minutes * 60

    def _epochs(self, optimizer: torch.optim.Optimizer) -> int:
        if self.task["minutes"] is None:
            return self.task["epochs"] or EPOCHS
        epoch = self._seconds_an_epoch(optimizer)
        left = self.task["minutes"] * 60 * SAFETY - (time.monotonic() - self.started)
        return max(1, int(left / epoch))

    def _seconds_an_epoch(self, optimizer: torch.optim.Optimizer) -> float:
        """Time the second of two steps, and a validation; the steps are a little training more."""
        batch = next(self._batches())
        _, step = (_seconds(_step, self.model, optimizer, *batch) for _ in range(2))
        return step * self.steps + _seconds(validation_dice, self.model, self.validation)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = self.rng.permutation(np.repeat(np.arange(len(self.train)), COPIES))
        for chosen in np.array_split(order, self.steps):
            patches = [_patch(*self.train[i], self.rng) for i in chosen]
            yield torch.stack([x for x, _ in patches]), torch.stack([y for _, y in patches])


def run(folder: Path, work: Path, task: dict[str, Any]) -> tuple[dict[str, np.ndarray], float, str]:
    """Train on a set and segment its test images.

    Args:
        folder: The set; see ``datasets``.
        work: Where the model goes.
        task: ``seed``, ``base``, ``threads``, and ``minutes`` or ``epochs``; without either 30 epochs.

    Returns:
        The mask of each test image by name, the minutes that training took, and a remark.
    """
    training = Training(folder, task)
    epochs = training.learn()
    torch.save(training.model.state_dict(), work / "thesis.pt")
    minutes = (time.monotonic() - training.started) / 60
    masks = {name: segment(training.model, pixels) for name, pixels, _ in annotated(folder, "test")}
    return masks, minutes, f"{epochs} epochs of {training.steps} steps"


def prepare(pixels: np.ndarray) -> Tensor:
    """Return an image as ``(1, 512, 512)`` float32 of 256 levels from 0 to 1."""
    low, high = float(pixels.min()), float(pixels.max())
    levels = np.rint((pixels.astype(np.float32) - low) / max(high - low, 1e-6) * 255) / 255
    scaled = F.interpolate(torch.from_numpy(levels)[None, None], (SIDE, SIDE), mode="bilinear", antialias=True)
    return scaled[0]


def _resized(mask: np.ndarray, shape: tuple[int, int]) -> Tensor:
    image = torch.from_numpy(mask.astype(np.float32))[None, None]
    return F.interpolate(image, shape, mode="nearest-exact")[0, 0].long()


def _divide(folder: Path, seed: int) -> tuple[Examples, Examples]:
    """Return what to train and to validate on: what the package would, so that luck is the same for both.

    A single image is divided when it has 512x512 pixels, at the end that the package takes.
    """
    pairs = find_pairs(folder, "train")
    config = with_labels(Config(), folder, "train").data.model_copy(
        update={"split": "area" if len(pairs) == 1 else "images"}
    )
    divided = split(pairs, config, seed, find_groups(folder, pairs, config))
    train, validation = (
        [_example(replace(p, part=None), config) for p in part] for part in (divided.train, divided.validation)
    )
    area = divided.validation[0].part
    if area is None:
        return train, validation
    first = area.start == 0
    at = SIDE - STRIP if first else STRIP
    image, mask = (part.tensor_split([at], area.axis - 2) for part in train[0])  # the axis from the end, for both
    return [(image[first], mask[first])], [(image[not first], mask[not first])]


def _example(pair: Pair, config: DataConfig) -> tuple[Tensor, Tensor]:
    content = read_annotated(pair, config)
    return prepare(content.micrograph.pixels), _resized(content.mask, (SIDE, SIDE))


def _patch(image: Tensor, mask: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    top, left = (int(rng.integers(side - CROP + 1)) for side in mask.shape)
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    both = (image[:, top : top + CROP, left : left + CROP], mask[None, top : top + CROP, left : left + CROP])
    x, y = (torch.rot90(part.flip(2) if flip else part, turns, (1, 2)) for part in both)
    return x, y[0]


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, masks: Tensor) -> None:
    model.train()
    optimizer.zero_grad()
    dice_loss(model(images), masks).backward()
    optimizer.step()


def dice_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Return one minus the soft Dice coefficient of the whole batch, with more than two classes their mean."""
    channels = logits.shape[1]
    found = logits.sigmoid() if channels == 1 else logits.softmax(1)
    truth = masks[:, None] if channels == 1 else F.one_hot(masks, channels).movedim(3, 1)
    overlap = (found * truth).sum((0, 2, 3))
    total = found.sum((0, 2, 3)) + truth.sum((0, 2, 3))
    return 1 - ((2 * overlap + 1) / (total + 1)).mean()


@torch.inference_mode()
def validation_dice(model: nn.Module, examples: Examples) -> float:
    """Return the Dice of the decided masks, pooled over the images, as a mean over foreground classes."""
    model.eval()
    masks = [(_decide(model(image[None])), mask) for image, mask in examples]
    classes = max(2, model.head.out_channels)
    scores = []
    for index in range(1, classes):
        overlap = sum(int(((found == index) & (mask == index)).sum()) for found, mask in masks)
        total = sum(int((found == index).sum() + (mask == index).sum()) for found, mask in masks)
        scores.append((2 * overlap + 1) / (total + 1))
    return float(np.mean(scores))


@torch.inference_mode()
def segment(model: nn.Module, pixels: np.ndarray) -> np.ndarray:
    """Return the mask of an image at its own size."""
    model.eval()
    found = _decide(model(prepare(pixels)[None]))
    return _resized(found.numpy(), pixels.shape).numpy().astype(np.uint8)


def _decide(logits: Tensor) -> Tensor:
    return (logits[0, 0] >= 0).long() if logits.shape[1] == 1 else logits[0].argmax(0)  # a logit of 0 is 0.5


def _seconds(work: Any, *arguments: Any) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start
