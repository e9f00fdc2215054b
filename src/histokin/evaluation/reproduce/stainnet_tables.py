"""Tables of the StainNet paper, measured here, each number beside the published one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from histokin.evaluation.page.model import Note, Table
from histokin.evaluation.reproduce.methods import TITLES, Method, classical, known, trained, untouched
from histokin.evaluation.reproduce.networks import FULL_SIZE, KERNELS, Network, Networks
from histokin.evaluation.reproduce.orders import order_text, shown
from histokin.evaluation.reproduce.pairs import PairSet
from histokin.evaluation.reproduce.published import STAINNET_FASTER, STAINNET_KERNELS, STAINNET_METHODS
from histokin.evaluation.reproduce.records import load
from histokin.evaluation.reproduce.run import Run
from histokin.evaluation.reproduce.scoring import FRAME, Scores, Speeds, score, speed

MEASURES = ("SSIM target", "PSNR target", "SSIM source")


@final
@dataclass(frozen=True)
class Measured:
    """Every method of Table 1 on one set of pairs, in the table's order."""

    pairs: PairSet
    methods: tuple[Method, ...]
    scores: tuple[Scores, ...]
    speeds: tuple[Speeds | None, ...]

    def by_name(self, measure: int) -> dict[str, float]:
        """Mean of one of the three measures, by the paper's rows."""
        return {m.published: s.means()[measure] for m, s in zip(self.methods, self.scores, strict=True) if m.published}

    def frames(self) -> dict[str, float]:
        """Frames per second, fit included, by the paper's rows."""
        both = zip(self.methods, self.speeds, strict=True)
        return {m.published: v.whole.fps for m, v in both if m.published and v}

    def timed(self, title: str) -> Speeds | None:
        """Speeds of the method of that title, where it was timed."""
        both = zip(self.methods, self.speeds, strict=True)
        return next((speeds for method, speeds in both if method.title == title), None)


def methods_for(pairs: PairSet, networks: Networks | None) -> tuple[Method, ...]:
    """Untouched, the classical methods, the networks that belong to this set, and the truth where it is known."""
    found = [untouched(), *classical()]
    if networks:
        found += networks.methods()
    if pairs.checkpoint:
        found.append(trained("stainnet", pairs.checkpoint, title="StainNet, published weights", note="published"))
    if pairs.color_map:
        found.append(known(pairs.color_map))
    return tuple(found)


def measure(run: Run, pairs: PairSet, methods: Sequence[Method]) -> Measured:
    """Score and time every method; classical ones take the matching target image as reference (oracle)."""
    scores, speeds = [], []
    for method in methods:
        run.say(f"{pairs.name}: {method.title}")
        scores.append(score(method, pairs.test if method.title != FULL_SIZE else ()))
        side = run.side if run.quick else FRAME
        timed = method.title != TITLES["none"] and "untrained" not in method.title
        speeds.append(speed(method, pairs.test[0], side=side, compiled=not run.quick) if timed else None)
    return Measured(pairs, tuple(methods), tuple(scores), tuple(speeds))


def methods_table(run: Run, measured: Measured) -> Table:
    """Table 1: quality and speed of each method."""
    rows = []
    for method, scores, speeds in zip(measured.methods, measured.scores, measured.speeds, strict=True):
        paper = STAINNET_METHODS.get(method.published, (None,) * 4)
        ssim_t, psnr_t, ssim_s = scores.means()
        rows.append(
            (
                method.title,
                shown(ssim_t, 3),
                shown(paper[0], 3),
                shown(psnr_t, 2),
                shown(paper[1], 1),
                shown(ssim_s, 3),
                shown(paper[2], 3),
                shown(speeds.whole.fps if speeds else None, 1),
                shown(speeds.mapping.fps if speeds else None, 1),
                shown(paper[3], 1),
                method.note or "-",
                scores.refused + scores.unchanged,
            )
        )
    columns = ("method", *(name for m in MEASURES for name in (m, "published")))
    columns = (*columns, "frames/s, fit + map", "frames/s, map", "published", "steps done / published", "not mapped")
    return Table(
        f"Table 1 on {measured.pairs.name} ({len(measured.pairs.test)} test pairs)",
        columns,
        tuple(rows),
        f"{measured.pairs.about}. {_timing(run, measured)}",
        run.command,
    )


def _timing(run: Run, measured: Measured) -> str:
    found = next((s.whole for s in measured.speeds if s), None)
    side = run.side if run.quick else FRAME
    where = (
        f"{found.device}, at most {found.threads} threads, one frame a call, median of {found.repeats}"
        if found
        else "-"
    )
    return (
        "Means over test pairs. Classical methods take the matching target image as reference, as in the paper. Not "
        f"mapped: no stains were found in the reference or the source. Frames: {side} x {side}, reading not counted, "
        f"the map alone in its compiled form where it has one; {where}. Published: 966 cytology pairs; 6-core "
        "i7-6850K with a GTX 1080Ti."
    )


def kernels_table(run: Run, pairs: PairSet, kernels: Mapping[str, Network]) -> tuple[Table, dict[str, Scores]]:
    """Table 2: 1x1 layers replaced by 3x3, from the first layer on."""
    rows, found = [], {}
    for name in KERNELS:
        network = kernels.get(name)
        if network is None:
            continue
        run.say(f"{pairs.name}: StainNet {name}")
        found[name] = score(network.method(), pairs.test)
        before = score(network.untrained_method(name), pairs.test)
        ours, paper = found[name].means(), STAINNET_KERNELS[name]
        cells = [(shown(o, d), shown(p, e)) for o, p, d, e in zip(ours, paper, (3, 2, 3), (3, 1, 3), strict=True)]
        untrained = shown(before.means()[1], 2)
        rows.append((name.count("1"), name.count("3"), *(c for pair in cells for c in pair), untrained, network.steps))
    columns = ("1x1 layers", "3x3 layers", *(name for m in MEASURES for name in (m, "published")))
    columns = (*columns, "PSNR target untrained", "steps done / published")
    note = "3x3 replaces 1x1 from the first layer on; the paper does not say which. All learn from one StainGAN."
    return Table(f"Table 2 on {pairs.name}: 1x1 and 3x3 convolutions", columns, tuple(rows), note, run.command), found


def reference_table(run: Run, pairs: PairSet) -> Table:
    """The effect of the reference image: the matching target against the target of another field."""
    rows = []
    if len(pairs.test) > 1:
        others = [load(pairs.test[another(pairs, i)].target) for i in range(len(pairs.test))]
        for method in classical():
            run.say(f"{pairs.name}: {method.title} with another reference")
            same, other = score(method, pairs.test), score(method, pairs.test, lambda i: others[i])
            cells = [
                shown(v, d)
                for a, b, d in zip(same.means(), other.means(), (3, 2, 3), strict=True)
                for v in (a, b, b - a)
            ]
            rows.append((method.title, *cells, same.refused + same.unchanged + other.refused + other.unchanged))
    columns = ("method", *(f"{m}, {kind}" for m in MEASURES for kind in ("matching", "other", "change")), "not mapped")
    note = (
        "Matching: the target image of the very field, which only aligned pairs allow. Other: the next target image of "
        "the same class. The paper shows the effect in its Figure 6 and prints no numbers."
    )
    return Table(f"Effect of the reference image on {pairs.name}", columns, tuple(rows), note, run.command)


def another(pairs: PairSet, i: int) -> int:
    """The next test pair of the same class, or the next one where there is none."""
    count = len(pairs.test)
    following = [(i + step) % count for step in range(1, count)]
    return next((j for j in following if pairs.test[j].label == pairs.test[i].label), following[0])


def style_table(run: Run, pairs: PairSet, networks: Networks) -> Table | None:
    """One network per source style: the third scanner's images through what was trained on the first."""
    if not (networks.net and all(pair.other for pair in pairs.test)):
        return None
    methods = [untouched(), networks.net.method(), *classical(("macenko",))]
    rows = []
    for method in methods:
        own, third = score(method, pairs.test), score(method, pairs.test, third=True)
        rows.append(
            (
                method.title,
                shown(own.means()[1], 2),
                shown(third.means()[1], 2),
                *(shown(s.means()[0], 3) for s in (own, third)),
            )
        )
    columns = ("method", "PSNR target, scanner O", "PSNR target, scanner P", "SSIM target, O", "SSIM target, P")
    note = "The network was trained from scanner O to T; scanner P shows the same tissue in another style."
    return Table(f"One network per source style, on {pairs.name}", columns, tuple(rows), note, run.command)


def orders_note(measured: Measured) -> Note:
    """Whether each column of Table 1 has the paper's order, and the paper's two claims, from the numbers."""
    lines = []
    for i, name in enumerate(MEASURES):
        published = {key: row[i] for key, row in STAINNET_METHODS.items()}
        lines.append(order_text(name, measured.by_name(i), published, TITLES))
    frames = measured.frames()
    published = {key: row[3] for key, row in STAINNET_METHODS.items()}
    lines.append(order_text("Frames per second (fit and map)", frames, published, TITLES))
    lines += [_best_on_all(measured), *_against_untrained(measured)]
    lines += _faster(measured)
    return Note(f"What holds on {measured.pairs.name}", "\n\n".join(lines))


def _faster(measured: Measured) -> list[str]:
    """The claim on speed, with StainNet computed directly and in its compiled form."""
    full, net = measured.timed(FULL_SIZE), measured.timed(TITLES["stainnet"])
    gan = full or measured.timed(TITLES["stain-gan"])
    if gan is None or net is None:
        return []
    direct, compiled = net.whole.fps / gan.whole.fps, net.mapping.fps / gan.whole.fps
    told = ["holds" if ratio > STAINNET_FASTER else "does NOT hold" for ratio in (direct, compiled)]
    size = "published" if full else "reduced"
    return [
        f"Claim 'more than {STAINNET_FASTER:g} times faster than StainGAN': computed directly StainNet is {direct:.0f} "
        f"times as fast (the claim {told[0]}), its map alone {compiled:.0f} times (the claim {told[1]}), on this "
        f"computer, against a StainGAN of the {size} size."
    ]


def _against_untrained(measured: Measured) -> list[str]:
    """Whether each trained network beats its untrained copy."""
    found = {m.title: s.means() for m, s in zip(measured.methods, measured.scores, strict=True)}
    lines = []
    for title, trained_means in found.items():
        untrained = found.get(f"{title}, untrained")
        if untrained:
            told = "beats" if trained_means[1] > untrained[1] else "does NOT beat"
            lines.append(
                f"{title} {told} its untrained copy: PSNR target {trained_means[1]:.2f} against {untrained[1]:.2f} dB."
            )
    return lines


def _best_on_all(measured: Measured) -> str:
    ours = [measured.by_name(i) for i in range(3)]
    if any("stainnet" not in column or len(column) < 2 for column in ours):
        return "Claim 'StainNet is best on all measures': no trained StainNet on this set, not tested."
    better = {
        name: [TITLES[key] for key, value in column.items() if value > column["stainnet"]]
        for name, column in zip(MEASURES, ours, strict=True)
    }
    beaten = [f"{name} by {', '.join(titles)}" for name, titles in better.items() if titles]
    if not beaten:
        return "Claim 'StainNet is best on all measures': holds for the three quality measures."
    return f"Claim 'StainNet is best on all measures': does NOT hold here; it is beaten on {'; '.join(beaten)}."


def kernels_note(found: Mapping[str, Scores]) -> Note:
    """Whether 3x3 convolutions cost likeness to the source, from the numbers."""
    titles = {name: f"{name.count('1')}+{name.count('3')}" for name in KERNELS}
    lines = []
    for i, name in enumerate(MEASURES):
        ours = {key: scores.means()[i] for key, scores in found.items()}
        published = {key: row[i] for key, row in STAINNET_KERNELS.items()}
        lines.append(order_text(f"{name} (1x1 + 3x3 layers)", ours, published, titles))
    return Note("What holds of the structure", "\n\n".join(lines))
