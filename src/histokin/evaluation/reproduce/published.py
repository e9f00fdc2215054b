"""What the papers print. Nothing here was measured by us."""

STAINNET_METHODS = {
    "reinhard": (0.779, 27.6, 0.955, 54.8),
    "macenko": (0.771, 25.9, 0.919, 4.0),
    "vahadane": (0.776, 26.0, 0.927, 0.5),
    "stain-gan": (0.758, 29.4, 0.913, 19.6),
    "stainnet": (0.808, 29.8, 0.960, 881.8),
}
"""Kang et al., StainNet, Table 1: SSIM target, PSNR target (dB), SSIM source, frames per second; 966 cytology pairs."""

STAINNET_KERNELS = {
    "111": (0.808, 29.8, 0.960),
    "311": (0.814, 30.0, 0.958),
    "331": (0.814, 30.0, 0.956),
    "333": (0.804, 29.8, 0.950),
}
"""The same, Table 2, by the kernel sizes of the three layers: SSIM target, PSNR target (dB), SSIM source.

The paper says that 3x3 replaces 1x1 "in turn" and not which layer first; here the first layers are replaced.
"""

STAINNET_FASTER = 40.0
"""The same, abstract of results: StainNet is "more than 40 times faster" than StainGAN (on a GPU)."""

CBHIR_PSNR = {"bksvd": 19.54, "vahadane": 12.74, "macenko": 13.80}
"""The content-based retrieval paper with color normalization, Table 1: PSNR (dB) of CAMELYON17 after each method."""
