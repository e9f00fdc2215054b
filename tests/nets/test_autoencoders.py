"""The two papers' autoencoders: their sizes, what they give, and that they learn."""

import pytest

torch = pytest.importorskip("torch", reason="needs the torch extra")

from histokin.nets.cbhir_autoencoder import CbhirAutoencoder  # noqa: E402
from histokin.nets.cbmir_autoencoder import CbmirAutoencoder, learning_rate  # noqa: E402


def parameters(network: object) -> int:
    return sum(p.numel() for p in network.parameters())  # type: ignore[attr-defined]


def test_cbhir_has_the_published_size_and_shapes() -> None:
    network = CbhirAutoencoder().eval()
    assert parameters(network) == 80_572_686
    dense = [p for name, p in network.named_parameters() if "dense" in name]
    assert sum(p.numel() for p in dense) == 80_482_504
    image = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        features, skip = network.encoder(image)
        made = network(image)
    assert features.shape == (1, 200)
    assert skip.shape == (1, 32, 112, 112)
    assert made.image.shape == image.shape
    assert torch.isfinite(made.features).all()


@pytest.mark.parametrize(
    ("stage", "shape"),
    [("enc0", (1, 16, 64, 64)), ("enc1", (1, 32, 32, 32)), ("enc2", (1, 64, 16, 16))],
)
def test_cbhir_stages(stage: str, shape: tuple[int, ...]) -> None:
    network = CbhirAutoencoder(64).eval()
    value = torch.rand(1, 3, 64, 64)
    for name in ("enc0", "enc1", "skip", "enc2"):
        value = getattr(network.encoder, name)(value)
        if name == stage:
            assert value.shape == shape


def test_cbhir_bottleneck_is_residual() -> None:
    network = CbhirAutoencoder(64).eval()
    encoder = network.encoder
    for module in encoder.widen:
        for parameter in module.parameters():
            torch.nn.init.zeros_(parameter)
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        deep = encoder.enc2(encoder.skip(encoder.enc1(encoder.enc0(image))))
        assert torch.equal(encoder(image)[0], encoder.dense(deep.flatten(1)))


def test_cbhir_variants_and_evaluation_is_repeatable() -> None:
    image = torch.rand(2, 3, 64, 64)
    torch.manual_seed(0)
    network = CbhirAutoencoder(64)
    assert not torch.equal(network(image).features, network(image).features)
    network.eval()
    with torch.no_grad():
        assert torch.equal(network(image).features, network(image).features)
        assert not torch.equal(network(image).image, network(image, zero_skip=True).image)
        bare = CbhirAutoencoder(64, skip="none").eval()
        assert torch.equal(bare(image).image, bare(image, zero_skip=True).image)
        assert CbhirAutoencoder(64, bottleneck="sigmoid_gate").eval()(image).features.shape == (2, 200)


def fits(network: object, images: object, steps: int, rate: float) -> float:
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)  # type: ignore[attr-defined]
    for _ in range(steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(network(images).image, images)  # type: ignore[operator]
        loss.backward()
        optimizer.step()
        if loss.item() < 0.004:
            break
    return float(loss.item())


def test_both_learn_one_batch() -> None:
    torch.manual_seed(1)
    smooth = torch.nn.functional.interpolate(torch.rand(8, 3, 4, 4), size=(32, 32), mode="bilinear")
    assert fits(CbhirAutoencoder(32, dropout=0.0), smooth, 200, 1e-3) < 0.01
    assert fits(CbmirAutoencoder(32), smooth, 500, 1e-3) < 0.005


def test_cbmir_has_the_published_size_and_schedule() -> None:
    assert parameters(CbmirAutoencoder(batch_norm=False)) == 3_923_507
    assert parameters(CbmirAutoencoder()) == 3_923_507 + 6 * 2 * 128
    made = CbmirAutoencoder(64).eval()(torch.rand(2, 3, 64, 64))
    assert made.image.shape == (2, 3, 64, 64)
    assert made.features.shape == (2, 48)
    assert learning_rate(0) == 1e-3
    assert learning_rate(50_000) == pytest.approx(5e-4)
