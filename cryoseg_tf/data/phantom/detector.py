"""From the signal to the file's numbers: focus, the beam's width, vibration, counting, digitisation.

The order is that of Cizmar et al. 2008 (doi:10.1002/sca.20120): drift, vibration, blur, noise. The
chain of counting stages in Timischl et al. 2012 (doi:10.1002/sca.20282) is drawn together to an
effective number of electrons, which is of Poisson's distribution, and the amplifier's Gaussian noise.
"""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from .scene import Array, Scene

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def focused(scene: Scene, signal: Array, rng: np.random.Generator) -> Array:
    """Return the signal as the beam sees it: blurred, more so out of focus, with lines that tremble."""
    sharp = ndimage.gaussian_filter(signal, rng.uniform(0.5, 1.0))
    y, _ = scene.everywhere()
    # a tilted specimen leaves the focus towards its top and bottom
    depth = np.abs(y) * np.tan(scene.tilt) / 20e3
    out = np.clip(scene.defocus + depth.clip(0, 0.7), 0, 1)
    if out.max() > 0.05:
        soft = ndimage.gaussian_filter(signal, rng.uniform(200, 400) / scene.pixel_size)
        sharp = sharp + out * (soft - sharp)
    tremble = np.abs(rng.normal(0, rng.uniform(0, 0.25), (len(sharp), 1))).clip(0, 1)
    return (1 - tremble) * sharp + tremble * np.roll(sharp, 1, axis=1)


def detected(signal: Array, bits: int, rng: np.random.Generator, noise: np.random.Generator) -> tuple[Pixels, float]:
    """Return the image, uint8 or uint16, and its noise's standard deviation in gray levels."""
    dose = float(np.exp(rng.uniform(np.log(30), np.log(220))))  # electrons a pixel at white
    amplifier = rng.uniform(0.01, 0.03)
    seen = np.clip(signal, 0, None)
    counted = noise.poisson(seen * dose) / dose + noise.normal(0, amplifier, seen.shape)
    gain, offset = _settings(counted, rng)
    white = 2**bits - 1
    values = np.clip(np.rint((offset + gain * counted) * white), 0, white)
    deviation = float(np.std(counted - seen)) * gain * white
    return values.astype(np.uint8 if bits == 8 else np.uint16), deviation


def _settings(counted: Array, rng: np.random.Generator) -> tuple[float, float]:
    """Return contrast and brightness as an operator sets them: some images dull, some dark, few clipped."""
    low, high = np.percentile(counted[::4, ::4], [0.5, 99.5])
    black, white = rng.uniform(0.01, 0.2), rng.choice([rng.uniform(0.35, 0.6), rng.uniform(0.75, 1.0)], p=[0.25, 0.75])
    gain = (white - black) / max(high - low, 0.25)
    return float(gain), float(black - gain * low)
