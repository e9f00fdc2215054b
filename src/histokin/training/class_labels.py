"""Images with their classes: from a folder of folders, or a table. What has no class is named, never skipped."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from histokin.errors import UsageError
from histokin.slides.labels import Labels, read_labels
from histokin.training.images import SPLITS, TABLES, ImageSet, read_images

COLUMNS = ("label", "class")


def read_classes(
    data: Path,
    *,
    classes: Path | None = None,
    groups: Path | None = None,
    least_px: int = 1,
    most: int | None = None,
) -> tuple[ImageSet, dict[str, str]]:
    """Images and the class of each, by its name in the set.

    Parameters
    ----------
    data : a folder, whose sub-folders are the classes; or a table (CSV) with the columns ``path``, ``label``, and
        where you have them ``group`` and ``split``.
    classes : a table ``file,label`` that says the classes instead of the folders.
    groups : a table ``file,group`` of slides or patients, which are never divided; it may have the column ``split``.
    least_px : smaller images are named in the set's ``failed``, like broken ones.
    most : at most so many images, spread evenly.

    Raises
    ------
    UsageError
        when an image has no class or no group, or no image is left.
    """
    images = read_images(data, least_px=least_px, most=most)
    if groups is not None:
        images = _grouped(images, read_labels(groups))
    if classes is not None:
        return images, _from_table(images, read_labels(classes))
    if data.suffix.lower() in TABLES:
        where = data.absolute()
        table = read_labels(where)
        rows = {str((where.parent / key).absolute()): row for key, row in table.rows.items()}
        column = _column(table)
        return images, {name: _said(rows.get(name, {}), column, name, table) for name in images.names}
    return images, _from_folders(images, data.absolute())


def class_list(images: ImageSet, labels: Mapping[str, str]) -> list[str]:
    """The classes of a set, sorted. Raises :class:`UsageError` for an image without one, or fewer than two."""
    if bare := next((name for name in images.names if not labels.get(name)), None):
        raise UsageError(f"{bare} has no class", remedy="Name the class of every image")
    classes = sorted({labels[name] for name in images.names})
    if len(classes) < 2:
        raise UsageError(f"{images.name} has one class only", remedy="Give images of two classes at least")
    return classes


def _from_folders(images: ImageSet, root: Path) -> dict[str, str]:
    found = {}
    for name in images.names:
        parts = Path(name).relative_to(root).parts if Path(name).is_relative_to(root) else ()
        if len(parts) < 2:
            raise UsageError(
                "the image lies in no folder of a class",
                remedy="Put the images of each class into a folder of its name, or give a table with --classes",
                path=name,
            )
        found[name] = parts[0]
    return found


def _from_table(images: ImageSet, table: Labels) -> dict[str, str]:
    column = _column(table)
    table.check(Path(name) for name in images.names)
    return {name: _said(table.for_path(Path(name)) or {}, column, name, table) for name in images.names}


def _column(table: Labels) -> str:
    found = next((name for name in COLUMNS if name in table.columns), None)
    if found is None:
        raise UsageError("the table has no column 'label'", remedy="Name the class of every image", path=table.path)
    return found


def _said(row: Mapping[str, str], column: str, name: str, table: Labels) -> str:
    if not row.get(column):
        raise UsageError(f"{name} has no class", remedy=f"Fill the column '{column}' for it", path=table.path)
    return row[column]


def _grouped(images: ImageSet, table: Labels) -> ImageSet:
    if "group" not in table.columns:
        raise UsageError("the table has no column 'group'", remedy="Give a table file,group", path=table.path)
    table.check(Path(name) for name in images.names)
    rows = [table.for_path(Path(name)) or {} for name in images.names]
    bare = next((name for name, row in zip(images.names, rows, strict=True) if not row.get("group")), None)
    if bare is not None:
        raise UsageError(f"{bare} has no group", remedy="Fill the column 'group' for every image", path=table.path)
    splits = images.splits
    if "split" in table.columns:
        splits = tuple({"val": "validation", "valid": "validation"}.get(r["split"], r["split"]) for r in rows)
        if strange := sorted(set(splits) - {"", *SPLITS}):
            remedy = f"Choose one of: {', '.join(SPLITS)}"
            raise UsageError(f"split is '{strange[0]}'", remedy=remedy, path=table.path)
    return replace(images, groups=tuple(row["group"] for row in rows), splits=splits)
