"""TC-Net: one network embeds the images of both modalities, trained by triplets and by naming instances. PyTorch.

H. Lin, Y. Fu, P. Lu, S. Gong, X. Xue, Y.-G. Jiang, "TC-Net for iSBIR: triplet classification network for instance-level
sketch based image retrieval", ACM Multimedia 2019. As in its authors' program, all weights are shared by the branches
and embeddings keep their length.
"""

from typing import final

import torch
from jaxtyping import Float, Int64
from torch import nn

from histokin.errors import UnknownName
from histokin.nets.backbones import build
from histokin.nets.dcnn import WIDTHS, Dcnn

TRUNKS = ("densenet169", "densenet121", "small")

Embeddings = Float[torch.Tensor, "n d"]
Labels = Int64[torch.Tensor, "n"]


@final
class TcNet(nn.Module):  # type: ignore[misc]
    """A trunk's last map, rectified, its mean, one linear layer: "n 3 h w" to "n features".

    Parameters
    ----------
    trunk : ``densenet169`` as published, ``densenet121``, or ``small``: the four convolutions of our DCNN.
    features : length of an embedding.
    """

    def __init__(self, trunk: str = "densenet169", features: int = 512) -> None:
        super().__init__()
        if trunk not in TRUNKS:
            raise UnknownName(f"no trunk is called '{trunk}'", remedy=f"Choose one of: {', '.join(TRUNKS)}")
        if trunk == "small":
            self.body, width = Dcnn(2).body, WIDTHS[-1]
        else:
            whole = build(trunk).train()
            self.body, width = whole.features, whole.classifier.in_features
        self.fc = nn.Linear(width, features)

    def forward(self, images: Float[torch.Tensor, "n 3 _ _"]) -> Embeddings:
        seen = torch.relu(self.body(images)).mean(dim=(2, 3))
        embedded: torch.Tensor = self.fc(seen)
        return embedded


def triplet_loss(
    anchor: Embeddings, positive: Embeddings, negative: Embeddings, margin: float | int = 0.3
) -> Float[torch.Tensor, ""]:
    """Mean of max(0, margin + ||a - p||^2 - ||a - n||^2)."""
    near = (anchor - positive).square().sum(dim=1)
    far = (anchor - negative).square().sum(dim=1)
    return torch.relu(margin + near - far).mean()


def center_loss(
    embeddings: Embeddings, labels: Labels, centers: Float[torch.Tensor, "classes d"]
) -> Float[torch.Tensor, ""]:
    """Half the mean squared distance of each embedding to the center of its class.

    Y. Wen et al., "A discriminative feature learning approach for deep face recognition", ECCV 2016, equation 2,
    divided by the number of samples.
    """
    return 0.5 * (embeddings - centers[labels]).square().sum(dim=1).mean()
