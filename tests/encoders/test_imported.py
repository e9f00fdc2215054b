"""The encoder of imported vectors: by name and space, where it is here."""

import numpy as np
import pytest

from histokin.encoders.color_histogram import ColorHistogram
from histokin.encoders.identity import model_sha, same_space
from histokin.encoders.imported import Imported
from histokin.encoders.registry import encoder
from histokin.errors import EncoderError

SPACE = "color-histogram/8x8x8/hellinger/fp32"
IMAGE = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)


def test_known_digests() -> None:
    assert model_sha("net/0123456789AB/fp32/89abcdef") == "0123456789ab"
    assert model_sha(SPACE) == "d4196f17d89b"  # of no weights: sha256 of the space
    assert same_space("net/0123456789ab", "net/0123456789ab/fp32")
    assert same_space(f"color-histogram/{model_sha(SPACE)}", SPACE)
    assert not same_space("net/0123456789a", "net/0123456789ab/fp32")
    assert not same_space("other/0123456789ab", "net/0123456789ab/fp32")


@pytest.mark.parametrize("space", [SPACE, "color-histogram/8x8x8", f"color-histogram/{model_sha(SPACE)}"])
def test_the_encoder_that_is_here_encodes(space: str) -> None:
    made = Imported(called="color-histogram", space=space, dim=512)
    assert made.missing is None
    assert made.spec.space == space
    assert made.encode([IMAGE]).tolist() == ColorHistogram().encode([IMAGE]).tolist()


def test_options_build_it_again() -> None:
    made = Imported(called="net", space="net/1", dim=3, metric="cosine", input_px=96, options={"path": "/x"})
    again = encoder("imported", **made.options)
    assert again.spec == made.spec
    assert isinstance(again, Imported)
    assert again.options == made.options


@pytest.mark.parametrize(
    ("made", "reason", "remedy"),
    [
        (Imported(called="nobody", space="nobody/1", dim=3), "does not have", "Install a package"),
        (Imported(called="color-histogram", space=SPACE, dim=3), "with 3 numbers.*makes 512", "right name"),
        (
            Imported(called="color-histogram", space="color-histogram/imported", dim=512),
            "is of",
            f"--encoder-space {SPACE}",
        ),
        (
            Imported(called="net", space="net/1", dim=3, registered="onnx", options={"path": "/no"}),
            "not available",
            "--slide",
        ),
        (Imported(called="imported", space="imported/1", dim=3), "no name of its own", "encoder's name"),
    ],
)
def test_an_encoder_that_is_not_here_says_why(made: Imported, reason: str, remedy: str) -> None:
    assert made.missing is not None
    with pytest.raises(EncoderError, match=reason) as caught:
        made.encode([IMAGE])
    assert remedy in caught.value.remedy
