"""The plan of the house: a room imports only rooms that stand before it."""

import ast
from pathlib import Path

import pytest

import latently

HOUSE = Path(latently.__file__).parent
ROOMS = [
    "errors", "files", "settings", "noise", "augmentation", "spreading", "data", "networks", "densities", "flows",
    "models", "presets", "runs", "pieces", "console", "processes", "outputs", "memory", "compiled", "training",
    "labels", "trained", "progress", "estimator", "code_figures", "judge", "evaluation", "exporting", "pictures",
    "gallery", "similar", "estimates", "label_curve", "experiments", "report", "demo", "opened", "measuring",
    "comparison", "cluster", "shards", "explorer", "flags", "launch", "cli", "__main__",
]  # fmt: skip


def room_of(path: Path) -> str:
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


def rooms_imported(path: Path) -> set[str]:
    """Rooms that a file imports anywhere, also inside functions and under TYPE_CHECKING."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path.name} imports relatively; write the room's full name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    parts = [name.split(".") for name in names if name.startswith("latently.")]
    return {part[1] for part in parts if (HOUSE / part[1]).is_dir() or (HOUSE / f"{part[1]}.py").exists()}


FILES = [path for path in sorted(HOUSE.rglob("*.py")) if path != HOUSE / "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_a_room_imports_only_rooms_before_it(path):
    own = room_of(path)
    assert own in ROOMS, f"{own} has no place in the plan of the house"
    later = {room for room in rooms_imported(path) if ROOMS.index(room) > ROOMS.index(own)}
    assert not later, f"{own} imports {', '.join(sorted(later))}, which stands after it"


def test_the_plan_lists_no_room_that_is_gone():
    for room in ROOMS:
        assert (HOUSE / room).is_dir() or (HOUSE / f"{room}.py").exists(), f"{room} is in the plan and not in the house"


def test_no_file_unpickles():
    for path in FILES:
        text = path.read_text()
        for word in ("import pickle", "torch.load", "allow_pickle=True", "joblib"):
            assert word not in text, f"{path.name} has {word!r}"
