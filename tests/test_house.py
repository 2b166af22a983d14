"""The plan of the house: a room imports only rooms that stand before it, a file only files before it in its room."""

import ast
from pathlib import Path

import pytest

import latently

HOUSE = Path(latently.__file__).parent
MOST_LINES, MOST_ENTRIES = 400, 16
PLAN = {
    "common": "errors settings files console processor",
    "data": """classes ranges pixels noise preparation reading image_file folder_survey mapped imageset folder_index
        batches download cache splits arrays text columns table idx folder chunks image_names label_file code_file
        sources __init__""",
    "models": """small_maps modules layers usual_layers code_table given networks densities flows augmentation views
        base readout pretrained frozen ae denoising ae_gan posterior iwae vae cvae vamp hierarchical self_supervised
        simclr emp_ssl decoder feedforward fixmatch m2 velocity flow_matching stack __init__ presets""",
    "pictures": "style tiles save curves codes plane confusion sheets __init__",
    "runs": "tensors record lock folder hub outputs cached_work",
    "training": """settings hardware resolve updates optimiser memory compiled distributed objective state loop watchers
        inference ray_cluster""",
    "estimator": """inputs face base classifier mixture code_prior conditional autoencoder default_encoder patches
        anomalies anomaly_detector label_spreading poisson_learning lesson linear_head fine_tuning few_label_run
        few_label __init__ stacked""",
    "evaluation": "intervals figures codes label_noise samples verdict",
    "analysis": """run_images measure nearest alignment duplicates similar copies cluster odd_ones wrong_labels watch
        label_curve plots onnx_export parquet_export""",
    "experiments": """table trials encoders study elbo panels plane kl label_curve_study codes_vs_pixels latent_table
        classifiers code_distances probes denoise conditional bounds semi_supervised
        __init__""",
    "report": "files words content page __init__ card share comparison",
    "explorer": "cache planes saved_labels scene proposals guard layers pages server notebook static",
    "cli": """arguments shared flags describe apply sample prior inspect share cluster label_noise watch studies
        demo_work demo options plan train main""",
}
ROOMS = list(PLAN)
FILES = [path for path in sorted(HOUSE.rglob("*.py")) if path.parent != HOUSE]


def file_name(path: Path) -> str:
    """`data/folder`"""
    return path.relative_to(HOUSE).with_suffix("").as_posix()


def place_of(name: str) -> tuple[int, int]:
    """Of a file such as `data/folder`: the place of its room in the plan, and its own place in the room."""
    room, _, file = name.partition("/")
    files = PLAN[room].split()
    return ROOMS.index(room), files.index(file) if file in files else -1


def imported(path: Path) -> set[str]:
    """The files of the house that a file imports anywhere, also inside functions and under TYPE_CHECKING."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path.name} imports relatively; write the room's full name"
            modules |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    parts = [module.split(".")[1:] for module in modules if module.startswith("latently.")]
    places = [HOUSE.joinpath(*part) for part in parts]
    files = {place.with_suffix(".py") for place in places} | {place / "__init__.py" for place in places}
    return {file_name(file) for file in files if file.exists()}


@pytest.mark.parametrize("path", FILES, ids=file_name)
def test_a_file_imports_only_files_before_it(path):
    name = file_name(path)
    room, _, file = name.partition("/")
    assert room in PLAN, f"{room} has no place in the plan of the house"
    assert file in PLAN[room].split() or file == "__init__", f"{name} has no place in the plan of its room"
    # A package's own __init__ is imported with each of its files; those that hold only a docstring import nothing.
    later = {other for other in imported(path) if place_of(other) >= place_of(name) and other != f"{room}/__init__"}
    assert not later, f"{name} imports {', '.join(sorted(later))}, which does not stand before it"


def test_the_plan_lists_no_file_that_is_gone():
    for room, files in PLAN.items():
        for file in files.split():
            assert (HOUSE / room / f"{file}.py").exists(), f"{room}/{file} is in the plan and not in the house"


def test_the_house_has_few_rooms_and_no_long_file():
    entries = [path.name for path in HOUSE.iterdir() if path.name != "__pycache__"]
    assert len(entries) <= MOST_ENTRIES, f"{len(entries)} entries at the top: {', '.join(sorted(entries))}"
    ours = [
        path for ending in ("py", "js", "html") for path in HOUSE.rglob(f"*.{ending}") if "vendor" not in path.parts
    ]
    for path in ours:
        n_lines = len(path.read_text().splitlines())
        assert n_lines <= MOST_LINES, f"{path.relative_to(HOUSE)} has {n_lines} lines; a file is one subject"


def test_no_file_unpickles():
    for path in HOUSE.rglob("*.py"):
        text = path.read_text()
        for word in ("import pickle", "torch.load", "allow_pickle=True", "joblib"):
            assert word not in text, f"{path.name} has {word!r}"
