"""What a classifier's weights are before training: random, those of the package, or a file's. PyTorch."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

from histokin.encoders.backbone import fitted
from histokin.encoders.shipped import WEIGHTS
from histokin.errors import EncoderError, UsageError
from histokin.nets import backbones, state_dict
from histokin.nets.classifier_network import ClassifierNetwork
from histokin.nets.manifest import file_digest
from histokin.nets.small_classifier import SmallClassifier

SHIPPED = WEIGHTS / "efficientnet-lite0-b14" / "model.onnx"
AUXILIARY = "AuxLogits."


@final
@dataclass(frozen=True)
class Start:
    """Weights to begin with; ``path`` is None for random ones."""

    network: str
    name: str
    path: Path | None
    digest: str | None

    def fill(self, network: ClassifierNetwork) -> None:
        """Put them in, all but the last layer (and InceptionV3's auxiliary head). Raises :class:`EncoderError`."""
        if self.path is None:
            return
        if isinstance(network.body, SmallClassifier):
            network.body.fill(self.path)
            return
        head = backbones.head_name(network.body)
        given = fitted(self.network, state_dict.read_state(self.path))
        given = {key: tensor for key, tensor in given.items() if not key.startswith(head)}
        own = network.body.state_dict()
        wanted = {
            key for key in own if not key.startswith((head, AUXILIARY)) and not key.endswith("num_batches_tracked")
        }
        wrong = [key for key in sorted(wanted) if key not in given or given[key].shape != own[key].shape]
        if wrong:
            raise EncoderError(
                f"the weights belong to another network than {self.network} ({wrong[0]} is missing or another shape)",
                path=self.path,
                remedy=f"Give a state dictionary of torchvision's {self.network}, or leave --start out",
            )
        network.body.load_state_dict({key: given[key] for key in wanted}, strict=False)


def chosen_start(network: str, start: str | Path | None, usual: str) -> Start:
    """The start that was asked for, or the profile's ``usual`` one.

    Raises
    ------
    UsageError
        for ``shipped`` where nothing is shipped.
    EncoderError
        when there is no such file.
    """
    text = usual if start is None else str(start)
    if text == "random":
        return Start(network, "random", None, None)
    if text == "shipped":
        if network != "small":
            remedy = "Give a file of ImageNet weights, or random"
            raise UsageError(f"no weights of {network} come with the package", remedy=remedy)
        return Start(network, "ImageNet (EfficientNet-Lite0, with the package)", SHIPPED, file_digest(SHIPPED))
    path = Path(text).expanduser()
    if not path.is_file():
        raise EncoderError("there is no such weight file", path=path, remedy="Check --start")
    return Start(network, path.name, path, file_digest(path))
