"""TC-Net: sizes, losses by hand, and gradients through all three branches."""

import pytest
import torch

from histokin.errors import UnknownName
from histokin.nets.backbones import build
from histokin.nets.tc_net import TcNet, center_loss, triplet_loss


def test_densenet169_has_its_published_parameters() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in build("densenet169").parameters()) == 14_149_480
        network = TcNet("densenet169", 512)
    # The classes' layer (1664 x 1000 + 1000) is exchanged for the embedding's.
    assert sum(p.numel() for p in network.parameters()) == 14_149_480 - 1_665_000 + 1664 * 512 + 512


def test_a_small_trunk_for_any_size() -> None:
    network = TcNet("small", 32).eval()
    assert network(torch.zeros(2, 3, 48, 48)).shape == (2, 32)
    assert network(torch.zeros(1, 3, 100, 64)).shape == (1, 32)
    with pytest.raises(UnknownName, match="no trunk is called 'large'"):
        TcNet("large")


def test_the_trunk_is_the_backbones() -> None:
    """With the weights of DenseNet121 and an identity after it, the embedding is the backbone's."""
    network, whole = TcNet("densenet121", 1024).eval(), build("densenet121", seed=3)
    network.body.load_state_dict(whole.features.state_dict())
    with torch.no_grad():
        network.fc.weight.copy_(torch.eye(1024))
        network.fc.bias.zero_()
        images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        wanted = torch.relu(whole.features(images)).mean(dim=(2, 3))
        torch.testing.assert_close(network(images), wanted, rtol=1e-4, atol=1e-5)


def test_triplet_loss_by_hand() -> None:
    anchor = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    positive = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.5, 0.0]])
    negative = torch.tensor([[0.0, 2.0], [1.0, 0.5], [0.0, 0.5]])
    # 0.3 + 1 - 4 < 0; 0.3 + 0 - 0.25 = 0.05; 0.3 + 0.25 - 0.25 = 0.3
    assert triplet_loss(anchor, positive, negative).item() == pytest.approx(0.35 / 3)
    assert triplet_loss(anchor, positive, negative, margin=0).item() == 0


def test_center_loss_by_hand() -> None:
    centers = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    embedded = torch.tensor([[3.0, 4.0], [1.0, 2.0], [1.0, 1.0]])
    # Half of (25 + 1 + 0), by three samples.
    assert center_loss(embedded, torch.tensor([0, 1, 1]), centers).item() == pytest.approx(13 / 3)


def test_gradients_flow_through_all_three_branches() -> None:
    network = TcNet("small", 8).eval()
    draws = torch.Generator().manual_seed(1)
    images = [torch.randn(2, 3, 32, 32, generator=draws, requires_grad=True) for _ in range(3)]
    anchor, positive, negative = (network(branch) for branch in images)
    triplet_loss(anchor, positive, negative, margin=100).backward()
    for branch in images:
        assert branch.grad is not None
        assert (branch.grad.abs().amax(dim=(1, 2, 3)) > 0).all()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.body.parameters() if p.ndim > 1)
