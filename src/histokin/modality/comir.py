"""CoMIR: two networks trained together so that their images of the same place are the same.

Source: N. Pielawski et al., CoMIR: Contrastive multimodal image representation for registration, NeurIPS 2020.
"""

from typing import final

from histokin.modality.paired import PairedNetworks


@final
class CoMIR(PairedNetworks):
    """One channel for either modality; ``path`` is the folder that ``histokin train comir`` wrote."""

    name = "comir"
