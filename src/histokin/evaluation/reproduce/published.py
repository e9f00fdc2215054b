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

CBMIR_BY_COUNT = {
    20: (98.34, 97.84, 98.42),
    40: (97.56, 97.15, 97.15),
    60: (96.11, 95.48, 94.87),
    80: (94.35, 95.66, 94.24),
    100: (93.00, 94.00, 93.00),
}
"""The content-based medical image retrieval paper, Table I: accuracy, precision, recall (%) by images retrieved."""

CBMIR_METHODS = {
    "dcnn": (88.42, 87.48, 88.62),
    "alexnet": (87.65, 87.51, 87.75),
    "vgg16": (92.34, 91.84, 93.14),
    "resnet50": (93.74, 92.27, 92.57),
    "proposed": (95.87, 96.03, 95.54),
}
"""The same, Table II: averages over the numbers retrieved of accuracy, precision and recall (%)."""

CBMIR_MARGINS = (2.13, 3.76, 2.97)
"""The same, in its text: what the proposed method gains over ResNet50. In recall VGG16 is nearer: 2.40."""

CBHIR_TOP_K = {
    "none": (0.73, 0.83),
    "bksvd": (0.91, 0.97),
    "vahadane": (0.66, 0.79),
    "macenko": (0.68, 0.81),
}
"""The same, Table 2: "top-K accuracy" (any hit) at K = 3 and 5, on hospital 5 of CAMELYON17."""

CBHIR_AUC = {
    "none": (0.941, 0.9631),
    "bksvd": (0.9817, 0.9754),
    "vahadane": (0.7985, 0.9429),
    "macenko": (0.9499, 0.9632),
}
"""The same, Table 3: AUC of the VGG19 classifier (copied there from the BKSVD paper) and of retrieval.

The running text gives 96.31 % as the AUC of retrieval with BKSVD; the table's .9754 stands here.
"""
