"""Takes out the difference that staining makes: normalizers, one file each, and the color-map engine.

Start at :mod:`histokin.stain.registry`; the contract is in :mod:`histokin.stain.base`.
"""
