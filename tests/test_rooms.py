"""The floor plan: who may import whom."""

import ast
from pathlib import Path

import histokin

ROOT = Path(histokin.__file__).parent
BASE = {"types", "errors", "registry", "cores", "extras", "_version"}
LEAVES = {"nets", "metrics"}
SIBLINGS = {"slides", "stain", "modality", "encoders", "classifiers", "archive"}
ALLOWED: dict[str, set[str]] = {
    "types": set(),
    "errors": set(),
    "cores": set(),
    "extras": {"errors"},
    "_version": set(),
    "__main__": {"app"},
    "registry": {"errors"},
    **dict.fromkeys(LEAVES, BASE),
    **dict.fromkeys(SIBLINGS, BASE | LEAVES),
    "retrieval": BASE | LEAVES | SIBLINGS,
    "training": BASE | LEAVES | (SIBLINGS - {"archive"}),
    "evaluation": BASE | LEAVES | SIBLINGS | {"retrieval", "training"},
    "app": BASE | LEAVES | SIBLINGS | {"retrieval", "training", "evaluation"},
}


def _imports(file: Path) -> set[str]:
    """Modules of ours that a file imports, as dotted names below ``histokin``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide the room they lead to"
            if node.module == "histokin":
                found |= {f"histokin.{alias.name}" for alias in node.names}
            else:
                found.add(node.module or "")
    return {name.removeprefix("histokin.") for name in found if name.startswith("histokin.")}


def _rooms() -> dict[str, list[Path]]:
    rooms: dict[str, list[Path]] = {}
    for file in sorted(ROOT.rglob("*.py")):
        first = file.relative_to(ROOT).parts[0].removesuffix(".py")
        if first != "__init__":
            rooms.setdefault(first, []).append(file)
    return rooms


def test_every_room_is_on_the_floor_plan() -> None:
    assert set(_rooms()) - {"testing"} <= set(ALLOWED)


def test_nobody_enters_a_room_by_the_window() -> None:
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for room, files in _rooms().items()
        if room != "testing"
        for file in files
        for name in _imports(file)
        if name.split(".")[0] not in ALLOWED[room] | {room}
    ]
    assert not wrong


def test_testing_is_imported_by_tests_only_and_enters_contracts_only() -> None:
    importers = [
        file
        for room, files in _rooms().items()
        for file in files
        if room != "testing" and any("testing" in n for n in _imports(file))
    ]
    assert not importers
    for file in _rooms()["testing"]:
        rooms = {name.split(".")[0] for name in _imports(file)}
        assert rooms <= BASE | SIBLINGS | {"testing"}, file


def _needs_torch(file: Path) -> bool:
    """True where torch is imported as soon as the module is."""
    for node in ast.parse(file.read_text()).body:
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if any(name.split(".")[0] in {"torch", "torchvision", "timm"} for name in names):
            return True
    return False


def test_torch_stays_in_its_own_files_and_inference_never_reaches_them() -> None:
    rooms = _rooms()
    torch_files = {file for files in rooms.values() for file in files if _needs_torch(file)}
    assert {file.relative_to(ROOT).parts[0] for file in torch_files} <= {"nets", "training"}
    names = {".".join(file.relative_to(ROOT).with_suffix("").parts) for file in torch_files}
    for room, files in rooms.items():
        if room != "training":
            for file in set(files) - torch_files:
                assert not _imports(file) & names, file


def test_modules_and_functions_stay_small() -> None:
    for files in _rooms().values():
        for file in files:
            text = file.read_text()
            assert text.count("\n") <= 400, f"{file} is too long"
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef):
                    length = (node.end_lineno or 0) - node.lineno
                    assert length <= 70, f"{file}:{node.lineno} {node.name} has {length} lines"
