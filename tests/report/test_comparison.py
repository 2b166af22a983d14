"""Several runs side by side: their table, their page, and what cannot be compared."""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from latently.cli.main import main
from latently.common.errors import InputError
from latently.report import comparison
from latently.report.comparison import best_of, names_of

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A VAE, another with its KL weight raised, an AE, a classifier; one with another seed, one of other images."""
    folder = tmp_path_factory.mktemp("runs")
    np.save(folder / "noise.npy", RNG.integers(0, 256, (40, 8, 8), dtype=np.uint8))
    small = "--limit 200 --epochs 2 --encoder dense(8) --latent-dim 2"
    for name, words in {
        "vae": f"vae {small} --data digits",
        "beta": f"vae {small} --data digits --beta 4",
        "ae": f"ae {small} --data digits",
        "seed": f"vae {small} --data digits --seed 1",
        "classifier": "classifier --data digits --limit 200 --epochs 2 --layers dense(8)",
        "noise": f"vae --epochs 1 --encoder dense(8) --data {folder / 'noise.npy'}",
    }.items():
        assert main(["train", *shlex.split(words), "--out", str(folder / name)]) == 0
    return folder


@pytest.fixture(autouse=True)
def only_the_test_of_the_page_draws(request, monkeypatch):
    if request.node.name != "test_the_page_is_one_file_with_every_run":
        monkeypatch.setattr(comparison, "draw", lambda _: {})


@pytest.fixture
def there(runs, monkeypatch, tmp_path) -> Path:
    """The runs, to work among and to change."""
    shutil.copytree(runs, tmp_path / "runs")
    monkeypatch.chdir(tmp_path / "runs")
    return tmp_path / "runs"


def test_figures_are_those_of_evaluate(latently, there):
    told = latently("compare", "vae", "ae", "classifier", "--json").json
    assert told["split"] == "test"
    for run in told["runs"]:
        figures = latently("evaluate", run["run"], "--json").json
        figures.pop("per_class", None)
        assert run["figures"] == {key: value for key, value in figures.items() if key not in ("split", "data")}
        assert json.loads((there / run["run"] / "metrics.json").read_text())["split"] == "test", (
            "kept for the next time"
        )


def test_figures_that_were_measured_are_taken_with_the_costly_ones(latently, there):
    assert latently("evaluate", "vae", "--codes").code == 0
    kept = json.loads(Path("vae/metrics.json").read_text())
    Path("vae/metrics.json").write_text(json.dumps(kept | {"elbo_nats": -1.25}))
    ran = latently("compare", "vae", "ae", "--json")
    vae, ae = (run["figures"] for run in ran.json["runs"])
    assert (vae["elbo_nats"], vae["probe_accuracy"]) == (-1.25, kept["probe_accuracy"])
    assert "probe_accuracy" not in ae
    assert "measuring ae" in ran.err
    assert "measuring vae" not in ran.err
    on_others = latently("compare", "vae", "ae", "--part", "validation", "--json").json
    assert on_others["runs"][0]["figures"]["elbo_nats"] != -1.25


def test_settings_that_differ_are_told_and_no_others(latently, there):
    vae, beta, ae = (run["settings"] for run in latently("compare", "vae", "beta", "ae", "--json").json["runs"])
    assert (vae["model"], beta["model"], ae["model"]) == ("vae", "vae", "ae")
    assert (vae["beta"], beta["beta"]) == (1.0, 4.0)
    assert "beta" not in ae
    assert not {"latent_dim", "epochs", "kl_warmup", "code_activation", "seed"} & vae.keys()
    alone = [run["settings"] for run in latently("compare", "beta", "ae", "--json").json["runs"]]
    assert alone[0]["beta"] == 4.0, "of one model alone, and not its default"


def test_runs_of_other_seeds_are_judged_on_their_own_images_and_it_is_said(latently, there):
    ran = latently("compare", "vae", "seed")
    assert "Each run is evaluated on its own test images" in ran.out
    assert "Each run is evaluated" not in latently("compare", "vae", "beta").out
    rows = dict(re.findall(r"^  (\w+) +(\S+ +\S+)", ran.out, re.MULTILINE))
    assert rows["seed"].split() == ["0", "1"]


def test_the_page_is_one_file_with_every_run(latently, there):
    ran = latently("compare", "vae", "ae", "classifier", "--out", "side by side")
    assert ran.out.endswith("Page: side by side/comparison.html\n")
    page = Path("side by side/comparison.html").read_text()
    links = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(link.startswith(("data:", "#")) for link in links)
    assert [link for link in links if link.startswith("data:image/png")] != []
    headers = re.findall(r'<th scope="col" class="number">(.*?)</th>', page)
    assert headers == ["vae", "ae", "classifier"] * 2
    assert "latently compare vae ae classifier" in page
    drawn = {path.name for path in Path("side by side/figures").iterdir()}
    assert drawn == {
        "reconstructions.png", "samples.png", "curves-autoencoders-nats-per-image.png",
        "curves-classifiers-nats-per-image.png",
    }  # fmt: skip
    assert page.count("data:image/png") == 4
    assert latently("compare", "classifier", "ae", "--out", "side by side").code == 0, "a comparison is replaced"
    assert Path("side by side/comparison.html").read_text().count("data:image/png") == 3, (
        "its old samples are not shown"
    )


def test_what_is_not_of_one_kind_has_no_best(latently, there):
    words = "train vae --data digits --limit 200 --epochs 2 --encoder dense(8) --binarise static --out static"
    assert latently(*shlex.split(words)).code == 0
    told = latently("compare", "vae", "static").out
    assert "have different likelihoods" in told
    assert "ssim" in best_figures()
    assert "elbo_nats" not in best_figures()
    assert latently("compare", "vae", "beta").code == 0
    assert "elbo_nats" in best_figures()


def best_figures() -> set[str]:
    """The keys of the figures of which the page marks the best."""
    rows = Path("compare/comparison.html").read_text().split("<tr>")
    return {key[1] for row in rows if "best" in row and (key := re.search(r"<code>(\w+)</code>", row))}


@pytest.mark.parametrize(
    ("then", "key", "sentence"),
    [
        ({"iw_bound_nats": -90.0, "importance_samples": 50}, "iw_bound_nats", "use different numbers of samples"),
        ({"denoised_psnr_db": 20.0, "noise": "gaussian 0.1"}, "denoised_psnr_db", "differs in kind or level"),
    ],
)
def test_figures_measured_otherwise_have_no_best(latently, there, then, key, sentence):
    setting = next(name for name in then if name != key)
    for run, change in {"vae": {}, "beta": {key: then[key] + 1}}.items():
        assert latently("evaluate", run).code == 0
        kept = json.loads(Path(run, "metrics.json").read_text()) | then | change
        Path(run, "metrics.json").write_text(json.dumps(kept))
    assert sentence not in latently("compare", "vae", "beta").out
    assert key in best_figures()
    Path("beta/metrics.json").write_text(json.dumps(kept | {setting: 500}))
    assert sentence in latently("compare", "vae", "beta").out
    assert key not in best_figures()


def test_the_best_classifier_is_marked(latently, there):
    for run, accuracy in {"classifier": 0.9, "again": 0.8}.items():
        if not Path(run).exists():
            shutil.copytree("classifier", run)
        assert latently("evaluate", run).code == 0
        kept = json.loads(Path(run, "metrics.json").read_text())
        Path(run, "metrics.json").write_text(json.dumps(kept | {"accuracy": accuracy, "calibration_error": accuracy}))
    assert latently("compare", "classifier", "again").code == 0
    assert {"accuracy", "calibration_error"} <= best_figures()


def test_other_images_can_be_given_to_runs_of_different_ones(latently, there):
    ran = latently("compare", "vae", "noise", "--data", "noise.npy", "--json").json
    assert [run["figures"]["n_images"] for run in ran["runs"]] == [40, 40]
    assert ran["notes"] == ["These images include training images of noise, so its metrics are optimistic."]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("vae", "a comparison needs two or more"),
        ("vae vae", "the same run was given twice"),
        ("vae nothing", "nothing does not exist"),
        ("vae noise", "a comparison needs the same images: give --data"),
        ("vae ae --out full", "contains other files than a comparison"),
        ("vae ae --out vae", "contains other files than a comparison"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(latently, there, words, sentence):
    Path("full").mkdir()
    Path("full/thesis.tex").write_text("years of work")
    ran = latently("compare", *words.split())
    assert ran.code == 2
    assert sentence in ran.err
    assert ran.out == ""
    assert not Path("compare").exists()


def test_names_are_as_short_as_they_can_be(tmp_path):
    assert names_of([Path("runs/a"), Path("runs/b")]) == ["a", "b"]
    assert names_of([Path("x/a"), Path("y/a")]) == ["x/a", "y/a"]
    with pytest.raises(InputError, match="given twice"):
        names_of([Path("runs/a"), Path("runs/../runs/a")])


def test_the_best_is_by_what_a_figure_means():
    assert best_of([1.0, 3.0, None], "Higher is better.") == 3.0
    assert best_of([1.0, 3.0, None], "Lower is better.") == 1.0
    assert best_of([1.0, 3.0], "How much it says.") is None
    assert best_of([2.0, 2.0], "Higher is better.") is None
    assert best_of([2.0, None], "Higher is better.") is None
