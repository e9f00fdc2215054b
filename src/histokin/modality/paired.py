"""Representations by two networks trained together, one for each modality, onto one scale and into one space."""

from histokin.modality.network_map import NetworkMap
from histokin.modality.trained import TrainedRepresentation
from histokin.types import ImageMap


class PairedNetworks(TrainedRepresentation):
    """Both modalities through a network of their own, onto one 8-bit scale that the training pairs decided."""

    @property
    def space(self) -> str:
        return f"{self.name}@{self.trained.digest()}"

    def _map(self, modality: str) -> ImageMap:
        trained = self.trained
        return NetworkMap(
            self.space,
            modality,
            trained.inputs[modality],
            self.path,
            trained.networks[modality],
            trained.multiple,
            trained.scale,
            trained.channels[modality],
            self.to_dict(),
            trained.margin,
        )
