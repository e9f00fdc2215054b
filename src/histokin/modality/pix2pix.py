"""Pix2Pix: a network that learned from aligned pairs to draw one modality as the other.

Source: P. Isola et al., Image-to-image translation with conditional adversarial networks, CVPR 2017.
"""

from typing import final

from histokin.modality.translation import Translation


@final
class Pix2Pix(Translation):
    """``path`` is the folder that ``histokin train pix2pix`` wrote."""

    name = "pix2pix"
