"""Running a StainNet in NumPy so that the same pixels always give the same bytes.

Sums of floating-point numbers depend on their order, and a linear algebra library orders them by the shape of the
matrix, the place in it, the processor and the threads. So weights and activations are rounded to multiples of
powers of two, as finely as lets every sum be exact in 64-bit floats; then no order matters. For the published
networks the steps are about 2**-24, the precision of the 32-bit floats that they were trained in.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float64, UInt8

from histokin.errors import UsageError
from histokin.nets.stainnet import Layer, StainNetWeights

PRODUCT = 1 << 18
"""Multiplications in one matrix product, at most. Linear algebra libraries share larger ones among threads, which
costs more than it gains here, and many times more where other threads of ours work beside it."""

PARTS = 8
"""Products per block: the activations of a block stay in the processor's cache."""

STRIP = 1 << 17
"""Pixels of a strip of rows, for networks that look at neighbors."""

MANTISSA = 53
FINEST = 30
COARSEST = 10
"""Binary digits after the point that weights and activations have, at most and at least."""

Planes = Float64[np.ndarray, "_ _ _"]


@final
@dataclass(frozen=True, eq=False)
class Step:
    """One convolution in whole numbers: inputs times ``2**digits_in``, outputs times ``2**digits_out``."""

    matrices: Float64[np.ndarray, "k o i"]
    """One for each place of the kernel, row by row."""

    bias: Float64[np.ndarray, "o 1"]
    side: int
    digits: int
    """Digits after the point of the sums."""

    digits_out: int
    """Digits that are left of them for the next layer."""


@final
class StainNetRunner:
    """A StainNet ready to run; may be shared between threads.

    Raises
    ------
    UsageError
        when the weights are so large that sums cannot be exact to :data:`COARSEST` binary digits.
    """

    def __init__(self, weights: StainNetWeights) -> None:
        self.pointwise, self.reach = weights.pointwise, weights.reach
        self._steps = list(_steps(weights.layers))
        widest = max(layer.weight.shape[0] * layer.weight.shape[1] for layer in weights.layers)
        self._part = int(np.clip(PRODUCT // widest, 16, 256))

    def run(self, image: UInt8[np.ndarray, "h w 3"]) -> Float64[np.ndarray, "h w 3"]:
        """What the network gives for an image: -1 to 1 for colors, not clipped."""
        out = np.empty((image.shape[0] * image.shape[1], 3))
        for start, values in self._parts(image):
            out[start : start + len(values)] = values
        return out.reshape(image.shape)

    def colors(self, image: UInt8[np.ndarray, "h w 3"], *, truncate: bool = False) -> UInt8[np.ndarray, "h w 3"]:
        """The image that the network gives, clipped and rounded to 8 bits (``truncate``: the fraction is cut off)."""
        out = np.empty((image.shape[0] * image.shape[1], 3), np.uint8)
        for start, values in self._parts(image):
            levels = np.clip(values * 0.5 + 0.5, 0, 1) * 255
            out[start : start + len(values)] = levels if truncate else np.rint(levels)
        return out.reshape(image.shape)

    def _parts(self, image: UInt8[np.ndarray, "h w 3"]) -> Iterator[tuple[int, Float64[np.ndarray, "n 3"]]]:
        """The network's output for a run of pixels at a time, with the number of its first pixel."""
        height, width = image.shape[:2]
        if not image.size:
            return
        if self.pointwise:
            pixels, block = np.ascontiguousarray(image).reshape(-1, 3), self._part * PARTS
            for start in range(0, len(pixels), block):
                yield start, self._points(pixels[start : start + block])
            return
        rows = max(4 * self.reach, STRIP // width)
        for top in range(0, height, rows):
            # Rows beyond the strip are computed and cut off again, so that its edges are no edges of the image.
            first, last = max(0, top - self.reach), min(height, top + rows + self.reach)
            values = self._strip(image[first:last])
            yield top * width, values[(top - first) * width : (min(height, top + rows) - first) * width]

    def _points(self, pixels: UInt8[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
        count = len(pixels)
        whole = np.zeros((-(-count // self._part) * self._part, 3), np.uint8)
        whole[:count] = pixels
        planes = np.ascontiguousarray(_centered(whole).reshape(-1, self._part, 3).transpose(0, 2, 1))
        for step in self._steps:
            sums = step.matrices[0] @ planes
            sums += step.bias
            planes = _passed_on(sums, step)
        values: Float64[np.ndarray, "n 3"] = planes.transpose(0, 2, 1).reshape(-1, 3)[:count]
        return values

    def _strip(self, image: UInt8[np.ndarray, "h w 3"]) -> Float64[np.ndarray, "n 3"]:
        planes: Planes = np.ascontiguousarray(_centered(image).transpose(2, 0, 1))
        for step in self._steps:
            planes = _passed_on(self._convolved(planes, step), step)
        values: Float64[np.ndarray, "n 3"] = planes.reshape(3, -1).T
        return values

    def _convolved(self, planes: Planes, step: Step) -> Planes:
        """One convolution by matrix products of shifted copies; zeros outside."""
        channels, height, width = planes.shape
        pad, block = step.side // 2, self._part * PARTS
        stride = width + 2 * pad
        count = height * stride
        rows = (height + 2 * pad) * stride
        shifts = [down * stride + right for down in range(step.side) for right in range(step.side)]
        padded = np.zeros((channels, max(rows, -(-count // self._part) * self._part + shifts[-1])))
        inside = padded[:, :rows].reshape(channels, -1, stride)
        inside[:, pad : pad + height, pad : pad + width] = planes
        sums = np.empty((len(step.bias), count))
        for start in range(0, count, block):
            length = min(block, -(-(count - start) // self._part) * self._part)
            total = 0
            for matrix, shift in zip(step.matrices, shifts, strict=True):
                shifted = padded[:, start + shift : start + shift + length]
                total += matrix @ shifted.reshape(channels, -1, self._part).transpose(1, 0, 2)
            found = np.asarray(total).transpose(1, 0, 2).reshape(len(sums), length)
            sums[:, start : start + length] = found[:, : count - start]
        sums += step.bias
        kept: Planes = sums.reshape(-1, height, stride)[:, :, :width]
        return kept


def _centered(pixels: UInt8[np.ndarray, "*shape 3"]) -> Float64[np.ndarray, "*shape 3"]:
    """Levels 0 to 255 as the odd whole numbers -255 to 255: colors from -1 to 1, times 255."""
    centered: Float64[np.ndarray, "*shape 3"] = pixels.astype(np.float64)
    centered *= 2
    centered -= 255
    return centered


def _passed_on(sums: Planes, step: Step) -> Planes:
    """Sums as the next layer takes them: the negative cut off, rounded to its digits; the last layer's as they are."""
    if step.digits_out < 0:
        sums *= 2.0**-step.digits
        return sums
    np.maximum(sums, 0, out=sums)
    sums *= 2.0 ** (step.digits_out - step.digits)
    np.rint(sums, out=sums)
    return sums


def _steps(layers: Sequence[Layer]) -> Iterator[Step]:
    """Every layer with as many digits as keep each of its sums, in any order, below ``2**53``."""
    low, high, digits_in = np.full(3, -255.0), np.full(3, 255.0), 0
    for i, layer in enumerate(layers):
        # One row per output: its weights for the first place of the kernel, for the second, ...
        weight = layer.weight.astype(np.float64).transpose(0, 2, 3, 1) / (255 if i == 0 else 1)
        matrix = weight.reshape(len(weight), -1)
        bias = layer.bias.astype(np.float64)
        copies = layer.side**2
        # The zeros outside the image lie between low and high.
        up = np.maximum(matrix, 0) @ np.tile(high, copies) + np.minimum(matrix, 0) @ np.tile(low, copies)
        down = np.maximum(matrix, 0) @ np.tile(low, copies) + np.minimum(matrix, 0) @ np.tile(high, copies)
        largest = float((np.maximum(up, -down) + np.abs(bias)).max())
        # One digit to spare for the rounding of weights and activations.
        room = MANTISSA - 1 - int(np.ceil(np.log2(max(largest, 2.0**-60))))
        digits = min(room - digits_in, FINEST + 8 if i == 0 else FINEST)
        if digits < COARSEST or (i and digits_in < COARSEST):
            raise UsageError(
                "the StainNet weights are too large to compute with exactly",
                remedy="Give trained weights; trained ones are far smaller",
            )
        total = digits + digits_in
        low, high = np.zeros(len(bias)), np.maximum(up + bias, 0)
        digits_out = -1 if i + 1 == len(layers) else _share(layers[i + 1], high)
        whole = np.rint(matrix * 2.0**digits).reshape(len(bias), copies, -1).transpose(1, 0, 2)
        addend = np.rint(bias * 2.0**total)[:, None]
        yield Step(np.ascontiguousarray(whole), addend, layer.side, total, digits_out)
        digits_in = digits_out


def _share(layer: Layer, high: Float64[np.ndarray, "i"]) -> int:
    """Digits of the activations before a layer: half of what its sums have room for."""
    weight = np.abs(layer.weight.astype(np.float64)).sum(axis=(2, 3))
    largest = float((weight @ high + np.abs(layer.bias)).max())
    room = MANTISSA - 1 - int(np.ceil(np.log2(max(largest, 2.0**-60))))
    return max(0, min(room // 2, FINEST))
