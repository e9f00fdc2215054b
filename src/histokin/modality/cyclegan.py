"""CycleGAN: two networks that learned from unpaired images to draw either modality as the other.

Source: J.-Y. Zhu et al., Unpaired image-to-image translation using cycle-consistent adversarial networks, ICCV 2017.
"""

from typing import final

from histokin.modality.translation import Translation


@final
class CycleGAN(Translation):
    """``path`` is the folder that ``histokin train cyclegan`` wrote."""

    name = "cyclegan"
