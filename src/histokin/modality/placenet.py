"""PlaceNet: two networks trained together so that a part of one image is found at its place in the other."""

from typing import final

from histokin.modality.paired import PairedNetworks


@final
class PlaceNet(PairedNetworks):
    """Three channels for either modality; ``path`` is the folder that ``histokin train placenet`` wrote."""

    name = "placenet"
