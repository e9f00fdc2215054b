"""EEG as a picture: several channels of brain waves, drawn as lines on paper or on a screen."""

import cv2
import numpy as np
from jaxtyping import Float64

from histokin.types import RGB

PAPERS = ((255, 255, 255), (250, 246, 232), (12, 16, 24), (238, 242, 250))
INKS = ((20, 20, 30), (30, 60, 160), (120, 230, 140), (150, 30, 30))
"""Paper and ink go together by place."""

RATE = 128
"""Samples a second."""


def eeg(px: int, rng: np.random.Generator) -> RGB:
    """A few seconds of 6 to 16 channels, at twice the size and brought down so that lines are smooth."""
    style = int(rng.integers(len(PAPERS)))
    channels, seconds = int(rng.integers(6, 17)), float(rng.uniform(2, 6))
    canvas = np.empty((2 * px, 2 * px, 3), np.uint8)
    canvas[:] = PAPERS[style]
    if rng.random() < 0.6:
        faded = [int(0.85 * p + 0.15 * i) for p, i in zip(PAPERS[style], INKS[style], strict=True)]
        for second in np.arange(rng.uniform(0, 1), seconds, 1.0):
            place = int(second / seconds * 2 * px)
            cv2.line(canvas, (place, 0), (place, 2 * px), faded, 1)
    waves = signals(channels, seconds, rng)
    room = 2 * px / (channels + 1)
    x = np.linspace(0, 2 * px - 1, waves.shape[1])
    gain = room * rng.uniform(0.25, 0.6)
    for number, wave in enumerate(waves):
        points = np.stack([x, room * (number + 1) - gain * wave], axis=1)
        cv2.polylines(canvas, [np.round(points).astype(np.int32)], False, INKS[style], 2, cv2.LINE_AA)
    return np.asarray(cv2.resize(canvas, (px, px), interpolation=cv2.INTER_AREA))


def signals(channels: int, seconds: float, rng: np.random.Generator) -> Float64[np.ndarray, "c t"]:
    """Waves of standard deviation near 1: noise that falls with frequency, alpha, at times blinks or spike-waves."""
    count = int(seconds * RATE)
    time = np.arange(count) / RATE
    frequency = np.maximum(np.fft.rfftfreq(count, 1 / RATE), 0.5)
    falling = rng.uniform(0.7, 1.2)
    noise = rng.normal(0, 1, (channels, len(frequency))) + 1j * rng.normal(0, 1, (channels, len(frequency)))
    waves = np.fft.irfft(noise / frequency**falling, count, axis=1)
    waves /= waves.std(axis=1, keepdims=True)
    alpha = rng.uniform(8, 12)
    burst = np.exp(-(((time - rng.uniform(0, seconds)) / rng.uniform(0.3, 1.5)) ** 2))
    weight = rng.uniform(0, 1.5) * np.linspace(0.2, 1, channels)[:, None]
    waves = waves + weight * burst * np.sin(2 * np.pi * alpha * time + rng.uniform(0, 0.6, (channels, 1)))
    if rng.random() < 0.4:
        blink = np.exp(-(((time - rng.uniform(0.3, seconds - 0.3)) / 0.12) ** 2))
        waves = waves + 3 * blink * np.linspace(1, 0, channels)[:, None]
    if rng.random() < 0.25:
        phase = (time * rng.uniform(2.5, 3.5)) % 1
        complexes = 2.5 * np.exp(-(((phase - 0.1) / 0.04) ** 2)) - np.sin(2 * np.pi * phase)
        waves = waves + rng.uniform(0.6, 1.4, (channels, 1)) * complexes * (time > rng.uniform(0, seconds / 2))
    result: Float64[np.ndarray, "c t"] = waves
    return result
