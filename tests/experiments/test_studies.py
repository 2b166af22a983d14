"""Studies: intervals, tables, and trials that are kept."""

import csv
import json

import numpy as np
import pytest
from scipy import stats

from latently import VAE, InputError, Network
from latently.cli.main import main
from latently.data import load
from latently.estimator import load as load_estimator
from latently.evaluation.intervals import Estimate, estimate
from latently.experiments import STUDIES, Bench, bounds, elbo, find, panels
from latently.experiments.study import Result, Study
from latently.experiments.table import write_table
from latently.experiments.trials import Trial
from latently.models.presets import PRESETS, Published
from latently.training.settings import Training

TINY = Trial("tiny", VAE(2, Network("dense(8)")), Training(epochs=1), seed=0)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path, source="digits", seeds=2)


def test_an_interval_is_students():
    values = [101.2, 102.7, 101.9, 103.0]
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    ours = estimate(values)
    assert (ours.mean - ours.half_width, ours.mean + ours.half_width) == pytest.approx((low, high))
    assert ours.contains(102.0)
    assert not ours.contains(110.0)


def test_one_seed_has_no_interval_and_contains_nothing():
    assert estimate([5.0]) == Estimate(5.0, None, 1)
    assert not estimate([5.0]).contains(5.0)


def test_a_table_comes_in_three_forms(tmp_path):
    about = {"title": "t", "command": "latently reproduce t", "summary": "s", "machine": "m"}
    write_table(tmp_path, [{"name": "a", "nats": estimate([1.0, 3.0])}, {"name": "b", "other": 2}], about, ["a note"])
    told = json.loads((tmp_path / "table.json").read_text())
    assert told["rows"][0]["nats"]["mean"] == 2.0
    assert told["notes"] == ["a note"]
    rows = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert rows[0]["nats"] == "2.0"
    assert rows[0]["nats_n"] == "2"
    text = (tmp_path / "table.md").read_text()
    assert "| a | 2 ± 13 |" in text
    assert "`latently reproduce t`" in text


def test_a_finished_trial_is_not_trained_again(bench):
    first = bench.fit(TINY)
    weights = bench.folder / "trials" / "tiny" / "model.safetensors"
    written = weights.stat().st_mtime_ns
    again = bench.fit(TINY)
    assert weights.stat().st_mtime_ns == written
    images = bench.part("test").images
    assert np.array_equal(again.transform(images), first.transform(images))
    assert bench.figures(TINY) == bench.figures(TINY)


def test_a_trial_of_other_settings_or_images_is_not_taken_for_this_one(bench):
    bench.fit(TINY)
    for other in (
        Trial("tiny", VAE(2, Network("dense(8)")), Training(epochs=2)),
        Trial("tiny", VAE(3, Network("dense(8)")), Training(epochs=1)),
    ):
        with pytest.raises(InputError, match="other settings or images"):
            bench.figures(other)
    bench.quick, bench.splits, bench.images = True, {}, bench.images.take(np.arange(500))
    with pytest.raises(InputError, match="other settings or images"):
        bench.fit(TINY)


def test_images_that_changed_behind_their_path_are_other_images(tmp_path):
    images = load("digits").pixels[:200]
    np.save(tmp_path / "mine.npy", images)
    bench = Bench(tmp_path / "out", source=str(tmp_path / "mine.npy"))
    bench.fit(TINY)
    Bench(tmp_path / "out", source=str(tmp_path / "mine.npy")).fit(TINY)
    np.save(tmp_path / "mine.npy", images[::-1])
    with pytest.raises(InputError, match="other settings or images"):
        Bench(tmp_path / "out", source=str(tmp_path / "mine.npy")).fit(TINY)


def test_a_trial_from_before_a_setting_existed_is_taken_up(bench):
    """A setting that came later has its default in a kept trial."""
    bench.fit(TINY)
    path = bench.folder / "trials/tiny/params.json"
    params = json.loads(path.read_text())
    del params["trial"]["training"]["ema"], params["trial"]["model"]["free_bits"]
    path.write_text(json.dumps(params))
    assert bench.fit(TINY).history_
    with pytest.raises(InputError, match="other settings or images"):
        bench.fit(Trial("tiny", TINY.model, Training(epochs=1, ema=0.9)))


def test_a_killed_trial_goes_on(bench, monkeypatch):
    """Killed after its second epoch, it ends where an uninterrupted one does."""
    trial = Trial("killed", TINY.model, Training(epochs=4, compile="off"), seed=1)
    whole = Bench(bench.folder / "other", source="digits").fit(trial)
    from latently.training.watchers import Bar

    def stop(self, state, settings):
        if state.epoch == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Bar, "epoch_ended", stop)
        with pytest.raises(KeyboardInterrupt):
            bench.fit(trial)
    resumed = bench.fit(trial)
    images = bench.part("test").images
    assert np.array_equal(resumed.transform(images), whole.transform(images))


def test_faithful_is_the_studys_recipe_and_ours_is_ours():
    bench = Bench.__new__(Bench)
    bench.quick = False
    faithful = elbo.faithful(bench, "study5-mlp", 20, 0)
    ours = elbo.ours(faithful, epochs=16)
    assert (faithful.training.optimiser, faithful.training.schedule, faithful.training.batch_size) == (
        "adam",
        "constant",
        100,
    )
    assert faithful.training.epochs == 16, "up to the last published figure"
    assert ours.training == Training(epochs=16)
    assert ours.model.network == faithful.model.network
    assert (faithful.name, ours.name) == ("study5-mlp-z20-faithful-seed0", "study5-mlp-z20-ours-seed0")
    stddev = elbo.faithful(bench, "study1-conv", 5, 1)
    assert (stddev.model.posterior, elbo.ours(stddev, 9).model.posterior) == ("stddev", "log-variance")
    assert elbo.faithful(bench, "study5-mlp", 8, 0).training.epochs == 75, "the study's own where it gives no figure"


def line(variant, *losses, patience=None, known=()):
    """A line of elbo's table whose seeds had these training losses by epoch; validation losses are alike."""
    trials = [Trial(f"s{seed}", VAE(2), Training(patience=patience), seed) for seed in range(len(losses))]
    histories = [[{"epoch": i, "train_loss": v, "val_loss": v} for i, v in enumerate(seed, 1)] for seed in losses]
    return elbo.Line("study5-mlp", 2, variant, known, trials, histories)


def test_with_patience_every_figure_is_of_the_epoch_that_was_kept():
    patient = line("faithful", [9.0, 7.0, 8.0, 8.0], [9.0, 8.0, 5.0, 6.0, 6.0], patience=2)
    assert patient.epochs_kept() == [2, 3]
    assert patient.kept("train_loss") == estimate([7.0, 5.0])
    assert patient.means()["val_loss"] == [9.0, 7.5, 6.5, 7.0], "as far as both seeds went"
    assert line("ours", [9.0, 7.0, 8.0]).epochs_kept() == [3]


def test_every_published_figure_is_judged():
    known = [Published(2, 1, 9.1, "a"), Published(2, 2, 6.0, "a")]
    faithful = line("faithful", [9.0, 7.0], [9.2, 7.1], known=known)
    verdicts = [row["verdict"] for row in elbo.judgements(faithful)]
    assert verdicts == ["inside the interval", "1.05 above"]
    assert elbo.met(elbo.judgements(faithful), "faithful") == "1 of 2 inside"
    assert elbo.met(elbo.judgements(line("ours", [9.0, 7.0], known=known)), "ours") == "1 of 2 at or below"
    alone = elbo.judgements(line("faithful", [9.1, 6.0], known=known))
    assert elbo.met(alone, "faithful") == ""
    assert alone[0]["verdict"] == "0.00 below, one seed"


@pytest.mark.slow
def test_elbo_writes_its_curves(tmp_path):
    """Ours trains for as long as the study's recipe did."""
    bench = Bench(tmp_path, source="digits", quick=True, seeds=2, presets=("study3-mlp",), codes=(2,))
    elbo.STUDY.reproduce(bench)
    rows = elbo.run(bench).rows
    assert [(row["variant"], row["epochs"], row["seeds"]) for row in rows] == [("faithful", 3, 2), ("ours", 3, 2)]
    for row in rows:
        assert row["train_minus_elbo"].mean == pytest.approx(row["train_reconstruction"].mean + row["train_kl"].mean)
    curves = list(csv.DictReader((tmp_path / "curves.csv").open()))
    assert len(curves) == 2 * 2 * 3
    assert {"train_kl", "val_reconstruction"} <= set(curves[0])
    assert (tmp_path / "figures/study3-mlp-z2-terms.png").exists()


@pytest.mark.slow
def test_bounds_are_those_of_so_many_samples_on_black_and_white(tmp_path):
    bench = Bench(tmp_path, source="digits", quick=True)
    result = bounds.run(bench)
    ours = [row for row in result.rows if row["source"] == "ours"]
    assert [row["model"] for row in ours] == [*bounds.NAMES]
    assert len(ours) == len(result.rows), "a quick table compares with nothing published"
    for row in ours:
        assert row["minus_iw_bound"].mean < row["minus_elbo"].mean, "more samples, a tighter bound"
        assert (row["samples"], row["epochs"]) == (bounds.QUICK_SAMPLES, bounds.QUICK_EPOCHS)
        fit = load_estimator(tmp_path / "trials" / f"{row['model']}-seed0")
        assert fit.binarise == "dynamic"
    assert bounds.run(bench).rows == result.rows, "figures are kept"
    assert {row["binarisation"] for row in bounds.PUBLISHED} == {"dynamic", "static"}


def test_figures_of_other_samples_or_images_are_taken_anew(bench):
    plain = bench.figures(TINY)
    assert "iw_bound_nats" not in plain
    few = bench.figures(TINY, importance_samples=5, every=5)
    assert (few["importance_samples"], few["n_images"]) == (5, 36)
    assert bench.figures(TINY) == plain


def test_a_killed_panel_goes_on_filming(bench, monkeypatch):
    """Study 4's reconstructions by epoch are kept beside its trial, those before a kill, too."""
    bench.quick = True
    panels.film(bench)
    shots = sorted((bench.folder / "trials/study4-mlp-vae/film").iterdir())
    assert [shot.name for shot in shots] == ["epoch-1.npy", "epoch-2.npy"]
    last = bench.fit(panels.film_trial(bench)).reconstruct(bench.part("test").images[:100])
    assert np.allclose(np.load(shots[1]), last, atol=1e-5), "without dropout"
    before = shots[0].stat().st_mtime_ns
    panels.film(bench)
    assert shots[0].stat().st_mtime_ns == before


def test_studies_are_found_by_name():
    assert find("elbo") is STUDIES["elbo"]
    with pytest.raises(InputError, match="there is no study 'elba'; there are elbo, panels, plane, kl"):
        find("elba")


def test_a_quick_study_shows_its_columns_and_no_sentence_with_figures(tmp_path):
    rows = [{"n": 3, "agreement": 0.1, "seconds": 2.5}]
    made = Study("s", "", "", lambda bench: Result(rows, ["a note"], ["agreement: 10 %"]), quick_columns=("n",))
    for quick, shown in ((True, [{"n": 3, "agreement": None, "seconds": None}]), (False, rows)):
        bench = Bench(tmp_path, source="digits", quick=quick)
        assert made.reproduce(bench).rows == shown
        told = json.loads(bench.table.read_text())
        assert told["rows"] == shown
        assert ("agreement: 10 %" in told["notes"]) is not quick


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_says_what_a_quick_run_can_show(name):
    """Settings, and figures that were seen to be of the right order: a study that says nothing shows an empty table."""
    assert STUDIES[name].quick_columns


def test_a_study_from_the_command_line_is_kept_and_repeats(tmp_path, capsys):
    words = f"reproduce kl --quick --data digits --seeds 2 --codes 2 --out {tmp_path / 'kl'}".split()
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["beta"] for row in told["rows"]] == [0.0, 0.5, 1.0, 4.0]
    assert told["rows"][2] == dict.fromkeys(told["rows"][2]) | {"beta": 1.0, "seeds": 2}, "a quick run has no figures"
    assert told["notes"][-1].startswith("A quick run")
    assert (tmp_path / "kl/figures/rate-distortion.png").exists()
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == told["rows"], "trials are kept"


def test_studies_and_presets_are_listed(capsys):
    assert main(["reproduce"]) == 0
    assert main(["presets"]) == 0
    out = capsys.readouterr().out
    for name in (*STUDIES, *PRESETS):
        assert name in out
    assert main(["reproduce", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["studies"]
    assert told.keys() == STUDIES.keys()
    assert told["kl"]["cost"] == STUDIES["kl"].cost


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("reproduce elba", "there is no study 'elba'"),
        ("reproduce elbo --presets study9", "there is no preset 'study9'"),
        ("reproduce elbo --seeds 0", "--seeds is 0"),
        ("reproduce elbo --codes 0", "--codes is"),
        ("reproduce plane --codes 2", "plane does not take --codes"),
        ("reproduce elbo --presets mlp-512", "not a preset with a study's training"),
    ],
)
def test_a_study_that_cannot_be_run_is_a_sentence(words, sentence, tmp_path, capsys):
    assert main([*words.split(), "--data", "digits", "--out", str(tmp_path / "x")]) == 2
    assert sentence in capsys.readouterr().err


def test_settings_come_from_a_file(tmp_path, capsys):
    config = tmp_path / "config.json"
    config.write_text('{"model": {"latent_dim": 3, "network": {"encoder": "dense(16)"}}, "training": {"epochs": 2}}')
    run = tmp_path / "run"
    assert main(f"train vae --config {config} --data digits --epochs 1 --out {run}".split()) == 0
    params = json.loads((run / "params.json").read_text())
    assert params["model"]["latent_dim"] == 3
    assert params["training"]["epochs"] == 1, "a flag wins over the file"
    again = tmp_path / "again"
    assert main(f"train vae --config {run / 'params.json'} --limit 500 --out {again}".split()) == 0
    repeated = json.loads((again / "params.json").read_text())
    assert repeated["model"] == params["model"]
    assert repeated["data"]["source"] == "digits", "a params.json brings its images, too"
    assert repeated["data"]["n_train"] == 500, "a flag wins"
    assert main(f"train ae --config {run / 'params.json'} --out {tmp_path / 'ae'}".split()) == 2
    assert "describes the model vae, not ae" in capsys.readouterr().err
    config.write_text('{"modle": {"latent_dim": 3}}')
    assert main(f"train vae --config {config} --data digits --out {tmp_path / 'x'}".split()) == 2
    assert "it has 'modle'; expected model and training" in capsys.readouterr().err
