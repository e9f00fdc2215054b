"""Every normalizer against the contract."""

from histokin.stain.base import Appearance
from histokin.stain.macenko import Macenko
from histokin.stain.none import NoNormalizer
from histokin.stain.reinhard import Reinhard
from histokin.testing.appearance import AppearanceContract


class TestNone(AppearanceContract):
    degenerate = ()

    def build(self, *, strict: bool = False) -> Appearance:
        return NoNormalizer()


class TestMacenko(AppearanceContract):
    def build(self, *, strict: bool = False) -> Appearance:
        return Macenko(strict=strict)


class TestMacenko255(AppearanceContract):
    def build(self, *, strict: bool = False) -> Appearance:
        return Macenko(od="od255", strict=strict)


class TestMacenko256(AppearanceContract):
    def build(self, *, strict: bool = False) -> Appearance:
        return Macenko(od="od256", rule="mean_above", strict=strict)


class TestReinhard(AppearanceContract):
    def build(self, *, strict: bool = False) -> Appearance:
        return Reinhard(strict=strict)


class TestReinhardLalphabeta(AppearanceContract):
    def build(self, *, strict: bool = False) -> Appearance:
        return Reinhard(color_space="lalphabeta", strict=strict)


class TestReinhard8Bit(AppearanceContract):
    def build(self, *, strict: bool = False) -> Appearance:
        return Reinhard(strict=strict, legacy_uint8_lab=True)
