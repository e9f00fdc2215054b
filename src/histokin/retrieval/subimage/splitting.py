"""An image cut into pictures of the query's size that cover it, as few as can and evenly spaced."""

from histokin.errors import UsageError
from histokin.types import Region


def starts(length: int, side: int) -> list[int]:
    """Where the fewest pieces of ``side`` pixels begin that cover ``length``: the first at 0, the last ends at the end.

    n = ceil(length / side) pieces; start i is round(i (length - side) / (n - 1)), halves to even.

    Raises
    ------
    UsageError
        unless 1 <= ``side`` <= ``length``.
    """
    if not 1 <= side <= length:
        raise UsageError(
            f"{length} pixels cannot be cut into pieces of {side}", remedy="Give a picture smaller than the image"
        )
    count = -(-length // side)
    return [round(i * (length - side) / (count - 1)) for i in range(count)] if count > 1 else [0]


def split(width: int, height: int, patch_width: int, patch_height: int) -> list[Region]:
    """Pieces of one size that cover an image of ``width`` x ``height`` pixels, row by row.

    A piece that is larger than the image along one side is as long as the image there. The published splitter swaps
    width and height of the piece, which shows where it is not square; this one does not.
    """
    wide, high = min(patch_width, width), min(patch_height, height)
    return [Region(x, y, wide, high) for y in starts(height, high) for x in starts(width, wide)]
