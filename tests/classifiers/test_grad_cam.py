"""Grad-CAM: equal to the exact map where there is one; a planted pixel without global pooling; refusals."""

import numpy as np
import pytest
import torch
from torch import nn

from histokin.classifiers.grad_cam import grad_cam
from histokin.errors import EncoderError, UsageError


class Pooled(nn.Module):  # type: ignore[misc]
    """Convolution, mean, linear layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU(inplace=True))
        self.fc = nn.Linear(6, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.fc(self.body(images).mean(dim=(2, 3)))
        return logits


def test_with_a_mean_and_a_linear_layer_it_is_the_exact_map_by_positions() -> None:
    network = Pooled()
    images = np.random.default_rng(0).random((3, 3, 16, 12), np.float32)
    made = grad_cam(network, network.body, images, [1, 0, 3], rectify=False)
    with torch.no_grad():
        maps = network.body(torch.from_numpy(images)).numpy()
    exact = np.einsum("nkyx,nk->nyx", maps, network.fc.weight.detach().numpy()[[1, 0, 3]])
    assert made.shape == (3, 8, 6)
    np.testing.assert_allclose(made, exact / 48, atol=1e-6)


def test_without_global_pooling_a_planted_pixel_is_found() -> None:
    convolution = nn.Conv2d(3, 2, 1, bias=False)
    linear = nn.Linear(2 * 5 * 5, 2, bias=False)
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]).reshape(2, 3, 1, 1))
        linear.weight.zero_()
        linear.weight[1, :25] = 1  # class 1 is what is red, wherever it is
        linear.weight[0, 25:] = 1
    network = nn.Sequential(convolution, nn.Flatten(), linear)
    images = np.zeros((2, 3, 5, 5), np.float32)
    images[0, 0, 3, 1] = 1
    images[1, 1, 0, 4] = 1
    made = grad_cam(network, convolution, images)
    assert int(made[0].argmax()) == 3 * 5 + 1
    assert int(made[1].argmax()) == 4
    assert (grad_cam(network, convolution, images, [0, 1]) == 0).all()


def test_the_network_is_left_as_it_was() -> None:
    network = Pooled().train()
    images = np.ones((2, 3, 8, 8), np.float32)
    grad_cam(network, network.body[0], images)
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not network.body[0]._forward_hooks


def test_refusals() -> None:
    network, images = Pooled(), np.ones((2, 3, 8, 8), np.float32)
    with pytest.raises(UsageError, match="it was run 0 times"):
        grad_cam(network, nn.Identity(), images)
    with pytest.raises(UsageError, match="no height and width"):
        grad_cam(network, network.fc, images)
    with pytest.raises(UsageError, match="from 0 to 3"):
        grad_cam(network, network.body, images, [0, 4])
    with pytest.raises(UsageError, match="for 2 images"):
        grad_cam(network, network.body, images, [0])
    with pytest.raises(EncoderError, match="cannot run on images of shape"):
        grad_cam(nn.Sequential(network.body, nn.Flatten(), nn.Linear(7, 2)), network.body, images)
