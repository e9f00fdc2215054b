"""Random changes of light and stain, for training: callables for torchvision's pipelines and for anything else.

``from histokin.stain.augment.light import BR`` · ``.hed import HED, BRH`` · ``.concentrations import
ConcentrationJitter``. Each takes and returns a PIL image, a ``uint8`` array "h w 3" or a ``uint8`` torch tensor
"3 h w".
"""
