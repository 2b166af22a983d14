"""Every command on its happy path, what it prints, and what its help says."""

import ast
import csv
import json
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from latently.cli import main as cli
from latently.common import console
from latently.common.settings import Settings
from latently.data import NAMED, load
from latently.models import MODELS

RNG = np.random.default_rng(1)
LATENTLY = [sys.executable, "-m", "latently"]


def run(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LATENTLY, *words], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]


def is_png(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


# Help


def test_help_answers_at_once_and_imports_nothing_heavy():
    seconds = []
    for _ in range(3):
        before = os.times()
        shown = run("--help")
        seconds.append(sum(os.times()[2:4]) - sum(before[2:4]))  # of the processor: others may be at work, too
        assert shown.returncode == 0
        assert "usage: latently COMMAND" in shown.stdout
    assert statistics.median(seconds) < 0.5, f"latently --help took {seconds}"


def test_a_sample_waits_for_no_library_that_it_does_not_need(small_run, tmp_path):
    """One image in under 3 s: torch and matplotlib take nearly two of them, scikit-learn would take one more."""
    words = ["sample", str(small_run), "-n", "1", "--out", str(tmp_path / "one.png")]
    heavy = ("sklearn", "scipy", "pandas", "matplotlib.pyplot", "skimage", "torch._dynamo", "torch._inductor", "onnx",
             "ray", "tensorboard")  # fmt: skip
    assert not imported(words, heavy)


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["evaluate", "--help"], ["plot", "--help"]])
def test_help_waits_for_no_library(words):
    assert not imported(words, ("torch", "sklearn", "matplotlib", "scipy", "numpy", "PIL"))


def imported(words: list[str], heavy: tuple[str, ...]) -> list[str]:
    """Which of these a command imports."""
    run = f"import sys; from latently.cli.main import main; main({words!r})"
    code = f"{run}; print([m for m in {heavy!r} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return ast.literal_eval(shown.stdout.splitlines()[-1])


def test_help_lists_every_command(latently):
    assert latently().out == latently("--help").out
    for name in ("demo", "data", "train", "evaluate", "encode", "reconstruct", "score", "sample", "plot", "report"):
        assert re.search(rf"^  {name}\s+\w.{{15}}", latently("--help").out, re.MULTILINE), f"{name} is not told of"


def test_version(latently):
    assert re.match(r"latently \d+\.\d+.*\nPython 3\..*\ntorch \d.*\nnumpy \d", latently("--version").out)


def flags_of(page: str) -> dict[str, str]:
    """Each flag or positional word of a help page, and all that is said of it."""
    flags: dict[str, str] = {}
    for line in page.splitlines():
        text = line.strip("│ ") if line.strip("│─- ") else ""
        if found := re.match(r"(-h, --help|-n INT, --n|--[\w-]+|RUN|SOURCE|\[STUDY\])", text):
            name = found[1].split()[-1]
            flags[name] = text
        elif flags:
            flags[name] += " " + text
    return flags


PAGES = [*([name] for name in cli.COMMANDS), *(["train", name] for name in cli.MODEL_NAMES)]


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_help_tells_each_flag_with_meaning_and_default(latently, monkeypatch, words):
    monkeypatch.setenv("COLUMNS", "100")
    page = latently(*words, "--help")
    assert page.code == 0
    flags = flags_of(page.out)
    assert len(flags) >= 2
    for flag, text in flags.items():
        if flag == "--help":
            continue
        assert "(default: " in text or "(required)" in text, f"{flag} has no default: {text}"
        invocation = rf"^(-n INT, )?{flag}( \[RUN \.\.\.\] KIND)?( [A-Z|]*(\{{[\w,-]*\}})?)*"
        meaning = re.sub(rf"{invocation}|\((default: .*|required)\)", "", text).strip()
        assert len(meaning) >= 8, f"{flag} has no meaning: {text}"


def test_help_of_train_has_every_field(latently, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    for name, model in MODELS.items():
        flags = flags_of(latently("train", name, "--help").out)
        values = {field: getattr(model(), field) for field in model.field_types()}
        groups = [value for value in values.values() if isinstance(value, Settings)]  # their fields are flags, too
        fields = {field for field, value in values.items() if not isinstance(value, Settings)}
        for field in fields.union(*(group.field_types() for group in groups)):
            dashed = field.replace("_", "-")
            assert flags.keys() & {f"--{dashed}", f"--no-{dashed}"}, f"train {name} lacks {field}"


def test_help_of_train_names_every_data_set(latently):
    page = " ".join(latently("train", "vae", "--help").out.replace("│", " ").split())
    for name in NAMED:
        assert name in page.replace("- ", "-"), f"{name} is not named"


def test_help_shows_the_defaults_of_a_preset(latently):
    page = latently("train", "vae", "--preset", "mlp-512", "--help").out
    assert "(default: 'dense(512)')" in " ".join(page.replace("│", " ").split())


def test_the_list_of_models_is_that_of_the_models():
    lines = {name: (model.__doc__ or "").strip().partition("\n")[0] for name, model in MODELS.items()}
    assert lines == cli.MODEL_NAMES


# A run and what is made of it


def test_a_run_folder_holds_what_the_plan_says(small_run):
    names = {path.name for path in small_run.iterdir()}
    assert names == {"params.json", "model.safetensors", "history.csv", "split.json", "train.log"}
    params = json.loads((small_run / "params.json").read_text())
    assert params["command"].startswith("latently train vae --latent-dim 2 --data digits")
    assert {"format", "model", "training", "data", "versions", "seed"} <= params.keys()
    assert [row["epoch"] for row in rows_of(small_run / "history.csv")] == ["1", "2", "3"]


def test_train_prints_one_object(latently, tmp_path):
    command = shlex.split("train vae --data digits --limit 200 --encoder dense(8) --epochs 2 --json")
    figures = latently(*command, "--out", tmp_path / "r").json
    assert figures["epoch"] == 2
    assert figures["train_loss"] > 0


def test_evaluate_prints_one_flat_object(latently, small_run, tmp_path):
    run = shutil.copytree(small_run, tmp_path / "r")
    figures = latently("evaluate", run, "--json").json
    assert not any(isinstance(value, dict | list) for value in figures.values())
    assert figures["split"] == "test"
    assert figures["n_images"] == 180
    assert figures["elbo_nats"] == pytest.approx(-figures["reconstruction_nats"] - figures["kl_nats"])
    assert figures["elbo_nats"] < 0 < figures["kl_nats"]
    assert json.loads((run / "metrics.json").read_text()) == figures


def test_evaluate_prints_a_table(latently, small_run, tmp_path):
    ran = latently("evaluate", shutil.copytree(small_run, tmp_path / "r"))
    assert re.search(r"elbo_nats +-\d+\.\d+", ran.out)
    assert ran.err == ""


def test_only_the_test_figures_are_kept(latently, small_run, tmp_path):
    run = shutil.copytree(small_run, tmp_path / "r")
    (run / "metrics.json").unlink(missing_ok=True)
    for flags in (["--part", "train"], ["--part", "validation"], ["--data", tmp_path / "other.npy"]):
        np.save(tmp_path / "other.npy", RNG.integers(0, 256, (5, 8, 8), dtype=np.uint8))
        assert latently("evaluate", run, "--json", *flags).json["split"] in ("train", "validation", "all")
        assert not (run / "metrics.json").exists(), f"{flags} wrote metrics.json, which holds test figures"


def test_figures_that_are_no_numbers_are_null_in_json(capsys):
    console.print_json({"elbo_nats": float("nan"), "n_images": 3})
    assert json.loads(capsys.readouterr().out) == {"elbo_nats": None, "n_images": 3}


def test_data_describes(latently):
    figures = latently("data", "digits", "--json").json
    assert (figures["n_images"], figures["image_shape"], figures["n_classes"]) == (1797, [8, 8], 10)
    assert sum(figures["images_per_class"].values()) == 1797
    assert figures["n_train"] + figures["n_validation"] + figures["n_test"] == 1797
    assert re.search(r"image_shape +8 x 8", latently("data", "digits").out)


@pytest.fixture(scope="module")
def named_images(tmp_path_factory) -> Path:
    """A folder of 8 x 8 grey images whose names matter: a class with a space, and one that is unlabelled."""
    folder = tmp_path_factory.mktemp("named")
    for name in ("a cat/1.png", "a cat/2.png", "dog/ü.png", "loose, with comma.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / name)
    return folder


NAMES = ["a cat/1.png", "a cat/2.png", "dog/ü.png", "loose, with comma.png"]


def test_encode_keeps_file_names_and_labels(latently, small_run, named_images, tmp_path):
    codes = {}
    for ending in ("npz", "npy", "csv", "png"):
        out = tmp_path / "new folder" / f"codes.{ending}"
        assert latently("encode", small_run, "--data", named_images, "--out", out).out == f"{out}\n"
        codes[ending] = out
    with np.load(codes["npz"]) as archive:
        assert archive["names"].tolist() == NAMES
        assert archive["labels"].tolist() == ["a cat", "a cat", "dog", ""]
        assert archive["codes"].shape == (4, 2)
        assert np.array_equal(np.load(codes["npy"]), archive["codes"])
        rows = rows_of(codes["csv"])
        assert [row["name"] for row in rows] == NAMES
        assert [row["labels"] for row in rows] == ["a cat", "a cat", "dog", ""]
        read_back = np.array([[row["codes_1"], row["codes_2"]] for row in rows], dtype=np.float32)
        assert np.array_equal(read_back, archive["codes"]), "a CSV must keep every digit"
    assert is_png(codes["png"])


def test_reconstruct(latently, small_run, named_images, tmp_path):
    for ending in ("npz", "npy", "csv", "png"):
        out = tmp_path / f"images.{ending}"
        assert latently("reconstruct", small_run, "--data", named_images, "--out", out).code == 0
    with np.load(tmp_path / "images.npz") as archive:
        assert archive["names"].tolist() == NAMES
        assert archive["images"].shape == (4, 8, 8)
        assert 0 <= archive["images"].min() < archive["images"].max() <= 1
    rows = rows_of(tmp_path / "images.csv")
    assert list(rows[0]) == ["name", *(f"images_{place}" for place in range(1, 65))]
    assert is_png(tmp_path / "images.png")


def test_score_puts_the_worst_first(latently, small_run, tmp_path):
    digits = load("digits").images[:30].copy()
    digits[17] = RNG.integers(0, 256, (8, 8))
    np.save(tmp_path / "a.npy", digits)
    for ending in ("npz", "npy", "csv", "png"):
        out = tmp_path / f"scores.{ending}"
        assert latently("score", small_run, "--data", tmp_path / "a.npy", "--out", out).code == 0
    rows = rows_of(tmp_path / "scores.csv")
    scores = [float(row["minus_patch_distance"]) for row in rows]
    assert scores == sorted(scores)
    assert rows[0]["name"] == "17", "the image of noise is the worst explained"
    assert is_png(tmp_path / "scores.png")
    by_name = {row["name"]: float(row["minus_patch_distance"]) for row in rows}
    in_order = [by_name[str(n)] for n in range(30)]
    assert np.allclose(np.load(tmp_path / "scores.npy"), in_order), "without names, scores are lined up with the images"


def test_training_images_are_written_in_the_order_of_the_source(latently, small_run, tmp_path):
    """The split shuffles them; who lines a .npy up with the images of the source would not know how."""
    assert latently("encode", small_run, "--part", "train", "--out", tmp_path / "codes.npz").code == 0
    names = np.load(tmp_path / "codes.npz")["names"].astype(int)
    assert (np.diff(names) > 0).all()


@pytest.mark.parametrize("command", ["encode", "reconstruct", "denoise", "score", "predict", "sample", "similar"])
def test_help_says_in_which_order_an_array_is_written(latently, command):
    """Of whatever calls `write_arrays`, and of the Parquet files."""
    assert "order" in flags_of(latently(command, "--help").out)["--out"]


def test_sample(latently, small_run, tmp_path):
    run = shutil.copytree(small_run, tmp_path / "r")
    assert latently("sample", run, "-n", 9).out == f"{run / 'figures' / 'samples.png'}\n"
    assert is_png(run / "figures" / "samples.png")
    draws = {}
    for seed in (0, 0, 1):
        out = tmp_path / "s.npz"
        assert latently("sample", run, "--n", 5, "--seed", seed, "--out", out).code == 0
        draws.setdefault(seed, []).append(np.load(out)["images"])
    assert draws[0][0].shape == (5, 8, 8)
    assert np.array_equal(*draws[0])
    assert not np.array_equal(draws[0][0], draws[1][0])


def test_plot_every_kind(latently, small_run, tmp_path):
    run = shutil.copytree(small_run, tmp_path / "r")
    drawn = latently("plot", run, "all", "--grid", 4, "-n", 20).out.split()
    kinds = ["curves", "reconstructions", "scatter", "canvas", "samples", "traversals", "worst"]
    assert drawn == [str(run / "figures" / f"{kind}.png") for kind in kinds]
    assert all(is_png(Path(path)) for path in drawn)
    for ending in ("png", "pdf", "svg"):
        assert latently("plot", run, "canvas", "--range", 2, "--grid", 3, "--out", tmp_path / f"c.{ending}").code == 0
    other = shutil.copytree(small_run, tmp_path / "other")
    assert latently("plot", run, other, "curves").out.split() == [
        str(run / "figures" / "curves.png"), str(other / "figures" / "curves.png"),
    ]  # fmt: skip


def test_pictures_without_images_need_none(latently, tmp_path):
    np.save(tmp_path / "a.npy", RNG.integers(0, 256, (40, 6, 7), dtype=np.uint8))
    command = shlex.split("train vae --encoder dense(8) --epochs 1")
    assert latently(*command, "--data", tmp_path / "a.npy", "--out", tmp_path / "r").code == 0
    (tmp_path / "a.npy").rename(tmp_path / "b.npy")
    assert latently("plot", tmp_path / "r", "curves").code == 0
    assert latently("plot", tmp_path / "r", "samples").code == 0
    gone = latently("plot", tmp_path / "r", "scatter")
    assert gone.code == 2
    assert "no longer at" in gone.err
    assert "give --data" in gone.err


def test_report(latently, small_run, tmp_path):
    run = shutil.copytree(small_run, tmp_path / "r")
    assert latently("report", run).out == f"{run / 'report.html'}\n"
    page = (run / "report.html").read_text()
    assert "data:image/png;base64," in page
    assert "latently train vae --latent-dim 2" in page
    assert (run / "metrics.json").exists()
    assert not re.search(r"(src|href)=[\"']?https?:", page), "the report must open without a network"


def test_a_plain_autoencoder_goes_all_the_way(latently, tmp_path):
    run = tmp_path / "ae"
    command = shlex.split("train ae --data digits --limit 200 --encoder dense(8) --latent-dim 2 --epochs 1")
    assert latently(*command, "--out", run).code == 0
    assert latently("evaluate", run, "--json").json["reconstruction_nats"] > 0
    assert "samples" not in latently("plot", run, "all").out
    assert latently("report", run).code == 0
    assert latently("score", run, "--out", tmp_path / "s.csv").code == 0
    assert "minus_patch_distance" in rows_of(tmp_path / "s.csv")[0]


def test_a_denoising_autoencoder_cleans_images_of_ones_own(latently, tmp_path):
    run, noisy = tmp_path / "dae", tmp_path / "noisy"
    command = shlex.split(
        "train dae --data digits --limit 200 --encoder dense(8) --epochs 1 --noise masking --level 0.3"
    )
    assert latently(*command, "--out", run).code == 0
    figures = latently("evaluate", run, "--json").json
    assert figures["noise"] == "masking 0.3"
    assert figures["denoised_mse"] > 0
    pictures = latently("plot", run, "all").out
    assert all(f"{kind}.png" in pictures for kind in ("denoising", "noisy", "residuals"))
    assert latently("report", run).code == 0
    names = ["a.png", "scans/b.jpg"]
    for name in names:
        (noisy / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (8, 8), dtype=np.uint8)).save(noisy / name)
    assert latently("denoise", run, "--data", noisy, "--out", tmp_path / "clean").out == f"{tmp_path / 'clean'}\n"
    for name in ("a.png", "scans/b.jpg.png"):
        assert np.asarray(Image.open(tmp_path / "clean" / name)).shape == (8, 8)
    for ending in ("npz", "npy", "csv", "png"):
        out = tmp_path / f"clean.{ending}"
        assert latently("denoise", run, "--data", noisy, "--out", out).code == 0
    assert is_png(tmp_path / "clean.png")
    with np.load(tmp_path / "clean.npz") as clean:
        assert clean["names"].tolist() == names
        saved = np.asarray(Image.open(tmp_path / "clean" / "a.png"))
        assert np.array_equal(np.rint(clean["images"][0] * 255), saved)
    again = latently("denoise", run, "--data", noisy, "--out", tmp_path / "clean")
    assert again.code == 2
    assert "which is not empty; give a new folder" in again.err


def test_a_conditional_model_works_with_the_labels_of_the_data(latently, tmp_path):
    run = tmp_path / "cvae"
    command = shlex.split("train cvae --data digits --limit 300 --encoder dense(16) --latent-dim 2 --epochs 2")
    assert latently(*command, "--out", run).code == 0
    assert json.loads((run / "params.json").read_text())["classes"] == [str(digit) for digit in range(10)]
    assert latently("evaluate", run, "--json").json["elbo_nats"] < 0
    pictures = latently("plot", run, "all", "--grid", 3).out
    assert all(f"{kind}.png" in pictures for kind in ("analogies", "label-means", "mean-noise", "samples", "canvas"))
    assert latently("plot", run, "canvas", "--label", "3", "--grid", 3, "--out", tmp_path / "threes.png").code == 0
    for words in ("encode", "reconstruct", "score"):
        assert latently(words, run, "--part", "test", "--out", tmp_path / f"{words}.npz").code == 0
    assert latently("sample", run, "--label", "7", "-n", 5, "--out", tmp_path / "7.npy").code == 0
    assert np.load(tmp_path / "7.npy").shape == (5, 8, 8)
    assert latently("train", "cvae", "--out", run, "--resume").code == 0
    strange = latently("sample", run, "--label", "seven")
    assert strange.code == 2
    assert "'seven' is none that was fitted; there are '0', '1'" in strange.err


def test_a_label_is_for_models_that_take_one(latently, small_run, photographs, tmp_path):
    plain = latently("sample", small_run, "--label", "7", "--out", tmp_path / "7.png")
    assert plain.code == 2
    assert "or learn a prior: latently train prior RUN, or leave out --label" in plain.err
    np.save(tmp_path / "bare.npy", np.zeros((20, 8, 8), np.uint8))
    unlabelled = latently("train", "cvae", "--data", tmp_path / "bare.npy", "--epochs", 1, "--out", tmp_path / "r")
    assert unlabelled.code == 2
    assert "wants the label of every image; 16 of these 16 have none" in unlabelled.err
    assert not (tmp_path / "r").exists()


def test_a_conditional_model_learns_from_what_is_labelled(latently, photographs, tmp_path):
    small = ("--encoder", "dense(8)", "--latent-dim", 2, "--epochs", 1)
    some = latently("train", "cvae", "--data", photographs, *small, "--out", tmp_path / "some")
    assert "16 unlabelled images are left out" in some.err
    params = json.loads((tmp_path / "some" / "params.json").read_text())
    assert f": {params['data']['n_train'] - 16} training images" in some.err, "those that are left out are counted"
    judged = latently("evaluate", tmp_path / "some", "--part", "all", "--json")
    assert judged.json["n_images"] == 40
    assert judged.err.count("20 unlabelled images are left out") == 1
    (tmp_path / "odd.csv").write_text("\n".join(f"{n},{'odd' if n % 2 else 'even'}" for n in range(200)))
    command = ("train", "cvae", "--data", "digits", "--labels", tmp_path / "odd.csv", *small)
    assert latently(*command, "--out", tmp_path / "r").code == 0
    assert json.loads((tmp_path / "r" / "params.json").read_text())["classes"] == ["even", "odd"]
    assert latently("train", "cvae", "--out", tmp_path / "r", "--resume").code == 0


def test_m2_learns_from_few_labels_and_is_judged_by_bound_and_classes(latently, photographs, tmp_path):
    run, small = tmp_path / "run", ("--encoder", "dense(8)", "--latent-dim", 2, "--epochs", 2)
    trained = latently("train", "m2", "--data", "digits", "--n-labels", 50, *small, "--out", run)
    assert "m2 on digits: 1,437 training images" in trained.err, "those without a label train, too"
    assert json.loads((run / "params.json").read_text())["options"]["n_labels"] == 50
    judged = latently("evaluate", run, "--json").json
    assert {"accuracy", "elbo_nats", "kl_nats", "psnr_db"} < set(judged)
    assert latently("predict", run, "--data", "digits", "--out", tmp_path / "classes.csv").code == 0
    assert latently("sample", run, "--label", 7, "-n", 4, "--out", tmp_path / "sevens.npz").code == 0
    assert latently("score", run, "--data", "digits", "--out", tmp_path / "scores.csv").code == 0
    assert latently("train", "m2", "--out", run, "--resume").code == 0
    partly = latently("train", "m2", "--data", photographs, *small, "--out", tmp_path / "partly")
    assert "left out" not in partly.err
    everything = latently("encode", tmp_path / "partly", "--out", tmp_path / "codes.npy")
    assert everything.code == 0
    assert np.load(tmp_path / "codes.npy").shape == (60, 2), "unlabelled images have codes"
    assert latently("train", "m2", "--data", "digits", "--importance-samples", 3, "--out", tmp_path / "r").code == 2


def test_a_classifier_says_how_many_labels_train(latently, tmp_path):
    words = ("train", "classifier", "--data", "digits", "--layers", "dense(8)", "--epochs", 1, "--n-labels", 20)
    assert "on digits: 20 training images, 0 validation" in latently(*words, "--out", tmp_path / "a").err
    assert (
        "on digits: 16 training images, 4 validation" in latently(*words, "--patience", 1, "--out", tmp_path / "b").err
    )


# Images of one's own


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    """60 colour photographs of 32 x 32: two classes in folders, and some that lie about without a label."""
    folder = tmp_path_factory.mktemp("my photos")
    for n in range(60):
        name = ("beach", "forest", ".")[n % 3]
        (folder / name).mkdir(exist_ok=True)
        tint = np.array([[[200, 170, 90], [40, 120, 50], [90, 90, 90]][n % 3]])
        pixels = np.clip(tint + RNG.normal(0, 30, (32, 32, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / name / f"{n:02}.{'jpg' if n % 2 else 'png'}")
    return folder


def test_a_folder_of_photographs_with_no_flag_but_its_path(latently, photographs, tmp_path, monkeypatch):
    """But for the number of epochs, which would only take longer."""
    monkeypatch.chdir(tmp_path)
    assert latently("train", "vae", "--data", photographs, "--out", "r", "--epochs", 2).code == 0
    params = json.loads(Path("r/params.json").read_text())
    assert params["image_shape"] == [32, 32, 3]
    assert params["classes"] == ["beach", "forest"]
    for words in ("reconstruct r --out pairs.png", "score r --out odd.csv", "plot r all", "report r"):
        assert latently(*shlex.split(words)).code == 0
    assert latently("evaluate", "r", "--json").json["n_images"] == params["data"]["n_test"]
    assert len(rows_of(Path("odd.csv"))) == 60
    assert {row["name"].split("/")[0] for row in rows_of(Path("odd.csv"))} >= {"beach", "forest", "02.png"}


def test_own_images_that_have_changed_or_moved(latently, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for n in range(30):
        Image.fromarray(RNG.integers(0, 256, (8, 8), dtype=np.uint8)).save(f"photos/{n}.png")
    assert latently(*shlex.split("train vae --data photos --out r --encoder dense(8) --epochs 1")).code == 0
    own = latently("evaluate", "r", "--json").json
    Path("photos").rename("moved")
    gone = latently("evaluate", "r")
    assert gone.code == 2
    assert "give --data" in gone.err
    found = latently("evaluate", "r", "--data", "moved", "--json").json
    assert found["split"] == "test", "the very same images elsewhere are still the run's own"
    assert found["elbo_nats"] == own["elbo_nats"]

    shutil.copytree("moved", "photos")
    Image.fromarray(RNG.integers(0, 256, (8, 8), dtype=np.uint8)).save("photos/new.png")
    changed = latently("evaluate", "r")
    assert changed.code == 2
    assert "had 30 images, and now has 31" in changed.err
    assert "give --data" in changed.err
    taken = latently("evaluate", "r", "--data", "photos", "--json")
    assert taken.json["n_images"] == 31
    assert "all are treated as new" in taken.err


def test_a_run_remembers_how_images_were_prepared(latently, photographs, tmp_path):
    run = tmp_path / "r"
    command = shlex.split("train vae --image-size 16 16 --channels 1 --encoder dense(8) --epochs 1")
    assert latently(*command, "--data", photographs, "--out", run).code == 0
    assert json.loads((run / "params.json").read_text())["image_shape"] == [16, 16]
    for name, shape in {"tall": (40, 20, 3), "grey": (9, 9)}.items():
        (tmp_path / name).mkdir()
        Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / name / "1.png")
        out = tmp_path / f"{name}.npz"
        assert latently("reconstruct", run, "--data", tmp_path / name, "--out", out).code == 0
        assert np.load(out)["images"].shape == (1, 16, 16)


@pytest.mark.parametrize("binarise", ["static", "dynamic"])
def test_black_and_white(latently, tmp_path, binarise):
    run = tmp_path / "r"
    command = shlex.split("train vae --data digits --limit 300 --encoder dense(8) --epochs 1 --seed 7")
    assert latently(*command, "--binarise", binarise, "--out", run).code == 0
    first, second = (latently("evaluate", run, "--json").json for _ in range(2))
    assert first == second, "an evaluation must be repeatable"
    assert first["likelihood"] == f"bernoulli, {binarise}"


# Presets and flags


def widths(run: Path) -> list[tuple[int, ...]]:
    weights = load_file(run / "model.safetensors")
    return [tuple(weight.shape) for name, weight in weights.items() if name.endswith("weight")]


def test_a_preset_is_its_study_and_a_flag_wins_over_it(latently, tmp_path):
    images = RNG.integers(0, 256, (40, 28, 28), dtype=np.uint8)
    np.save(tmp_path / "a.npy", images)
    command = ["train", "vae", "--preset", "mlp-512", "--epochs", "1", "--data", str(tmp_path / "a.npy")]
    assert latently(*command, "--out", tmp_path / "as it is").code == 0
    assert sorted(widths(tmp_path / "as it is")) == sorted([(512, 784), (40, 512), (512, 20), (784, 512)])
    assert latently(*command, "--latent-dim", 3, "--encoder", "dense(64)", "--out", tmp_path / "changed").code == 0
    assert sorted(widths(tmp_path / "changed")) == sorted([(64, 784), (6, 64), (64, 3), (784, 64)])


def test_demo_replaces_a_demo_alone(latently, small_run, tmp_path, monkeypatch):
    monkeypatch.setattr("latently.cli.demo_work.demo", lambda run, watchers, seed: run.begin({}) or 1 / 0)
    run = shutil.copytree(small_run, tmp_path / "r")
    assert latently("demo", "--out", run).code == 2
    params = json.loads((run / "params.json").read_text())
    (run / "params.json").write_text(json.dumps(params | {"command": "latently demo"}))
    with pytest.raises(ZeroDivisionError):  # it has begun
        latently("demo", "--out", run)
    assert not (run / "model.safetensors").exists()


# The terminal, and those that are none


def test_paths_may_hold_anything(latently, small_run, tmp_path, monkeypatch):
    """Spaces, brackets that rich would take for markup, letters of any script."""
    monkeypatch.chdir(tmp_path)
    name = "my [bold]run[/bold] :smile: 日本"
    shutil.copytree(small_run, name)
    assert name in latently("evaluate", name).out
    assert latently("encode", name, "--out", "[/red] é.csv").out == "[/red] é.csv\n"


@pytest.mark.slow
def test_a_name_that_is_no_text_is_printed_and_kept(small_run, tmp_path):
    """Linux allows any bytes in a file's name."""
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    Image.fromarray(RNG.integers(0, 256, (8, 8), dtype=np.uint8)).save(tmp_path / "x.png")
    os.rename(tmp_path / "x.png", folder + b"/\xff.png")
    out = folder + b"/codes.csv"
    shown = subprocess.run(
        [*LATENTLY, "encode", str(small_run), "--data", folder, "--out", out], capture_output=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    with open(out, "rb") as file:
        assert b"\n\xff.png," in file.read()


@pytest.mark.parametrize(
    ("redirection", "variables"),
    [
        ("| head -1", {}),
        ("| true", {}),
        (">&-", {}),
        ("2>&-", {}),
        (">/dev/null 2>&1 <&-", {}),
        ("", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
        ("", {"PYTHONIOENCODING": "ascii"}),
        ("", {"TERM": "dumb", "COLUMNS": "40"}),
    ],
)
@pytest.mark.parametrize("words", ["evaluate --help", pytest.param("data digits", marks=pytest.mark.slow)])
def test_output_that_goes_elsewhere(words, redirection, variables):
    """No traceback and no complaint of Python's own, wherever stdout and stderr lead."""
    command = f"set -o pipefail; {shlex.join(LATENTLY)} {words} {redirection}"
    shown = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=os.environ | variables, check=False
    )
    assert shown.returncode in (0, 141), shown.stderr
    assert shown.stderr == ""


@pytest.mark.slow
def test_a_full_device_for_output():
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full here")
    with open("/dev/full", "w") as full:
        shown = subprocess.run(
            [*LATENTLY, "data", "digits"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert shown.returncode == 2
    assert shown.stderr == "latently: No space left on device; free some space\n"


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "4000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_threads_do_not_wait_awake_for_long_unless_the_user_wants_it(given, expected):
    """Beside one busy process a step would take a hundred times as long: benchmarks/beside_others.py."""
    kept = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    code = "import latently, os; print(os.environ.get('GOMP_SPINCOUNT'))"
    told = subprocess.run([sys.executable, "-c", code], env=kept | given, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == expected
