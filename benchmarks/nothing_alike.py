"""How well the "nothing like this" note works: an archive of half a set, the other half and other sets as queries.

    python benchmarks/nothing_alike.py ARCHIVE_SET OTHER_SET... [--normalizer macenko] [--archive DIR]

Every second image (sorted by path) of ARCHIVE_SET goes into the archive, the others are queries that do belong;
images of the OTHER_SETs are queries too. Prints the share of queries that are flagged.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from histokin.encoders.registry import DEFAULT_ENCODER
from histokin.retrieval.archive import Archive
from histokin.retrieval.recipe import DEFAULT_NORMALIZER, Recipe

KINDS = {".jpg", ".jpeg", ".png"}


def images_under(folder: Path) -> list[Path]:
    """All images below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in KINDS)


def build(folder: Path, images: list[Path], root: Path, recipe: Recipe) -> Archive:
    """An archive of every second image, its folders kept as labels."""
    for path in images[::2]:
        target = root / "half" / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    archive = Archive.create(root / "archive", recipe)
    report = archive.index(root / "half")
    if report.failed:
        raise SystemExit(f"could not be indexed: {report.failed}")
    return archive


def flagged(archive: Archive, images: list[Path]) -> tuple[int, list[str]]:
    """How many queries are flagged, and those that could not be asked."""
    count, failed = 0, []
    for path in images:
        try:
            count += archive.search(path, k=1).alike.nothing_alike
        except Exception as error:
            failed.append(f"{path}: {error}")
    return count, failed


def main() -> None:
    """Print one line per set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive_set", type=Path)
    parser.add_argument("other_sets", type=Path, nargs="+")
    parser.add_argument("--normalizer", default=DEFAULT_NORMALIZER)
    parser.add_argument("--encoder", default=DEFAULT_ENCODER)
    given = parser.parse_args()
    recipe = Recipe(normalizer=given.normalizer, encoder=given.encoder, crops=False)
    images = images_under(given.archive_set)
    with tempfile.TemporaryDirectory() as folder:
        archive = build(given.archive_set, images, Path(folder), recipe)
        sets = {f"{given.archive_set.name} (other half)": images[1::2]}
        sets |= {other.name: images_under(other) for other in given.other_sets}
        print(f"archive: {len(images[::2])} images of {given.archive_set.name}, {given.normalizer}, {given.encoder}")
        for name, queries in sets.items():
            count, failed = flagged(archive, queries)
            asked = len(queries) - len(failed)
            print(
                f"{name:<28} flagged {count}/{asked} = {count / max(asked, 1):.3f}  ({len(failed)} could not be asked)"
            )
            for line in failed[:3]:
                print(f"    {line}")


if __name__ == "__main__":
    main()
