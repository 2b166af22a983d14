"""A run killed at any moment resumes to the very weights and figures of an uninterrupted one, bit for bit."""

import contextlib
import json
import os
import random
import shlex
import shutil
import signal
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from commands import TIMES, history, output_of, start, wait_for

from latently import M2, VAE, Autoencoder, InputError, Network, SimCLR
from latently.cli.main import main
from latently.data import load
from latently.runs.folder import Context, Run
from latently.training.hardware import has_compiler
from latently.training.state import Watcher


def finish(run: Path, command: str) -> None:
    process = start(run, command)
    process.join()
    assert process.exitcode == 0, output_of(run).read_text()


def figures(run: Path) -> dict[str, Any]:
    """Of a copy: `evaluate` writes into the run."""
    with TemporaryDirectory() as place:
        copy = shutil.copytree(run, Path(place) / "run")
        assert main(["evaluate", str(copy)]) == 0
        return json.loads((copy / "metrics.json").read_text())


def assert_same_run(run: Path, whole: Path) -> None:
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes(), "weights differ"
    assert history(run) == history(whole), "the history differs in more than timings"
    assert figures(run) == figures(whole), "evaluate gives other figures"
    assert not (run / "checkpoint").exists(), "a finished run needs no checkpoint"
    assert not list(run.rglob(".*")), "a writer that was killed left its file"


def kill_at_random(run: Path, command: str, n_kills: int, longest: float, seed: int) -> int:
    """Start, kill -9 a random while after it has saved, resume, kill again ...; -> how many kills hit a run at work.

    The first kill comes as soon as there is a params.json, before any checkpoint.
    """
    moments, hits = random.Random(seed), 0
    for kill in range(n_kills):
        before = last_saved(run)
        process = start(run, command)
        if kill == 0:
            wait_for((run / "params.json").exists, process)
        else:
            wait_for(lambda before=before: last_saved(run) != before, process)
            time.sleep(moments.uniform(0, longest))
        process.kill()
        process.join()
        hits += process.exitcode == -signal.SIGKILL and not (run / "model.safetensors").exists()
        command = "train vae --resume"
    return hits


def last_saved(run: Path) -> int:
    """When the checkpoint was written, 0 where there is none."""
    with contextlib.suppress(FileNotFoundError):
        return Run(run).checkpoint.stat().st_mtime_ns
    return 0


EAGER = "train vae --data digits --encoder 'dense(32, dropout=0.1)' --latent-dim 2 --epochs 15 --binarise dynamic"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The run of EAGER that nothing interrupts."""
    run = tmp_path_factory.mktemp("whole") / "run"
    finish(run, EAGER)
    return run


def test_killed_at_random_moments_within_epochs(whole, tmp_path):
    """With a checkpoint after every step: most kills come within an epoch, some while a file is written."""
    killed = tmp_path / "killed"
    seconds = sum(row["seconds"] for row in Run(whole).read_history())
    hits = kill_at_random(killed, f"{EAGER} --checkpoint-minutes 0", n_kills=4, longest=0.3 * seconds, seed=1)
    assert hits >= 2, "the kills came too late to interrupt anything"
    finish(killed, "train vae --resume")
    assert_same_run(killed, whole)


@pytest.mark.slow
@pytest.mark.skipif(not has_compiler(torch.device("cpu")), reason="there is no C++ compiler here")
def test_killed_at_random_moments_compiled(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = "train vae --data digits --encoder dense(32) --latent-dim 2 --epochs 40 --compile on"
    finish(whole, command)
    assert json.loads((whole / "params.json").read_text())["resolved"]["compile"] == "on"
    hits = kill_at_random(killed, f"{command} --checkpoint-minutes 0", n_kills=3, longest=0.1, seed=2)
    assert hits == 3, "the kills came too late to interrupt anything"
    finish(killed, "train vae --resume")
    assert_same_run(killed, whole)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupt_leaves_a_run_that_goes_on(whole, tmp_path, number):
    stopped = tmp_path / "stop ped"
    process = start(stopped, f"{EAGER} --checkpoint-epochs 99")
    wait_for((stopped / "history.csv").exists, process)
    os.kill(process.pid, number)
    process.join()
    said = output_of(stopped).read_text()
    assert process.exitcode == 130, said
    assert Run(stopped).checkpoint.exists(), "an interrupt must save"
    assert f"latently: interrupted; resume with: latently train vae --out '{stopped}' --resume" in said
    assert "Traceback" not in said
    finish(stopped, "train vae --resume")
    assert_same_run(stopped, whole)


@pytest.mark.slow
def test_a_second_interrupt_acts_at_once(tmp_path):
    run = tmp_path / "run"
    process = start(run, f"{EAGER} --epochs 10000 --compile off")
    wait_for((run / "history.csv").exists, process)
    os.kill(process.pid, signal.SIGSTOP)  # so that both are there when it next looks
    os.kill(process.pid, signal.SIGINT)
    os.kill(process.pid, signal.SIGTERM)
    os.kill(process.pid, signal.SIGCONT)
    process.join()
    assert process.exitcode == 130, output_of(run).read_text()
    assert "Traceback" not in output_of(run).read_text()


def test_an_interrupt_before_the_training_leaves_nothing(latently, tmp_path, monkeypatch):
    def press_ctrl_c(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("latently.cli.plan.load", press_ctrl_c)
    ran = latently("train", "vae", "--data", "digits", "--out", tmp_path / "run")
    assert ran.code == 130
    assert ran.err.strip() == "latently: interrupted"
    assert not (tmp_path / "run").exists()


def test_an_interrupt_while_compiling_acts_at_once(latently, tmp_path, monkeypatch):
    def press_ctrl_c(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
        raise RuntimeError("CppCompileError: Ctrl-C has reached the compiler, too")

    monkeypatch.setattr(torch, "compile", lambda loss, **_: press_ctrl_c)
    started = time.monotonic()
    ran = latently(*shlex.split(EAGER), "--compile", "on", "--out", tmp_path / "run")
    assert ran.code == 130
    assert "--resume" in ran.err
    assert time.monotonic() - started < 4


def test_a_finished_run_is_told_so_and_not_touched(latently, small_run, tmp_path):
    run = shutil.copytree(small_run, tmp_path / "run")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in run.rglob("*") if path.is_file()}
    ran = latently("train", "vae", "--out", run, "--resume")
    assert ran.code == 0
    assert "finished" in ran.err
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in run.rglob("*") if path.is_file()} == before
    assert latently("train", "vae", "--out", run, "--resume", "--json").json["epoch"] == 3


@pytest.mark.parametrize("left", [["params.json"], ["params.json", "split.json"]])
def test_a_run_killed_before_its_first_checkpoint_starts(latently, small_run, tmp_path, left):
    run = tmp_path / "run"
    run.mkdir()
    for name in left:
        shutil.copy(small_run / name, run)
    assert latently("train", "vae", "--out", run, "--resume").code == 0
    assert (run / "split.json").read_bytes() == (small_run / "split.json").read_bytes()
    assert_same_run(run, small_run)


def test_a_run_killed_while_it_wrote_its_first_file_starts(latently, small_run, tmp_path):
    """Nothing is there but half a file under a temporary name."""
    command = shlex.split(
        "train vae --latent-dim 2 --data digits --limit 300 --encoder dense(16) --epochs 3 --lr 0.02 --seed 3"
    )
    for flags in ([], ["--resume"]):
        run = tmp_path / f"run{len(flags)}"
        run.mkdir()
        (run / ".params.json.99999999.tmp").write_text('{"forma')
        assert latently(*command, "--out", run, *flags).code == 0
        assert (run / "model.safetensors").read_bytes() == (small_run / "model.safetensors").read_bytes()


def test_a_run_is_taken_up_from_another_folder_and_by_its_whole_command(latently, tmp_path, monkeypatch):
    np.save(tmp_path / "images.npy", load("digits").images[:200])
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    command = shlex.split("train vae --data ../images.npy --encoder dense(8) --epochs 2 --out run")
    assert latently(*command).code == 0
    weights = (tmp_path / "sub" / "run" / "model.safetensors").read_bytes()
    for place, words in ((".", [*command, "--resume"]), ("..", shlex.split("train vae --out sub/run --resume"))):
        (tmp_path / "sub" / "run" / "model.safetensors").unlink()
        monkeypatch.chdir(tmp_path / "sub" / place)
        assert latently(*words).code == 0
        assert (tmp_path / "sub" / "run" / "model.safetensors").read_bytes() == weights


def test_overwrite_replaces_a_run_and_what_is_not_of_it_stays(latently, small_run, tmp_path):
    run = shutil.copytree(small_run, tmp_path / "run")
    (run / "notes.txt").write_text("mine")
    (run / "figures").mkdir()
    (run / "figures" / "old.png").write_bytes(b"")
    (run / "metrics.json").write_text("{}")
    command = shlex.split("train ae --data digits --limit 200 --encoder dense(8) --epochs 1 --overwrite")
    assert latently(*command, "--out", run).code == 0
    assert json.loads((run / "params.json").read_text())["model"]["name"] == "ae"
    assert sorted(path.name for path in run.iterdir()) == [
        "history.csv", "model.safetensors", "notes.txt", "params.json", "split.json", "train.log",
    ]  # fmt: skip


def test_overwrite_that_fails_keeps_the_old_run(latently, small_run, tmp_path):
    run = shutil.copytree(small_run, tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for flags in ("--data nothing", "--data digits --encoder dense(0)", "--data digits --device toaster"):
        assert latently("train", "vae", *shlex.split(flags), "--out", run, "--overwrite").code == 2
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


# In Python: every kind of state that a checkpoint must keep, stopped after each of many steps


class Stop(Exception):
    pass


class StopAfter(Watcher):
    """A watcher that ends a run after so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def stepped(self, state: Any, settings: Any) -> None:
        if self.left == 0:
            raise Stop
        self.left -= 1

    def epoch_ended(self, state: Any, settings: Any) -> None:
        pass


DIGITS, LABELS = load("digits").images[:250], load("digits").labels[:250]
FEW = np.where(np.arange(250) % 5, -1, LABELS)  # every fifth has a label
VARIANTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "the defaults": (VAE(2), {}),
    "ema": (VAE(2), {"ema": 0.9}),
    "patience": (VAE(2), {"patience": 2, "lr": 0.05, "schedule": "constant"}),
    "ema and patience": (VAE(2), {"patience": 2, "ema": 0.5, "lr": 0.05}),
    "rmsprop": (VAE(2), {"optimiser": "rmsprop", "lr": 1e-3, "clip_norm": 1.0}),
    "adam and cosine": (VAE(2), {"optimiser": "adam", "schedule": "cosine", "weight_decay": 0.01}),
    "dynamic binarisation": (VAE(2), {"binarise": "dynamic"}),
    "static binarisation": (VAE(2), {"binarise": "static"}),
    "dropout": (VAE(2, network=Network("dense(8, dropout=0.3)")), {}),
    "warm-up and free bits": (VAE(2, kl_warmup=0.7, free_bits=0.1, beta=2.0), {}),
    "a learned variance": (VAE(2, likelihood="gaussian"), {}),
    "float32": (VAE(2), {"precision": "float32"}),
    "self-supervision": (SimCLR(8, network=Network("whiten(2) conv(4, 3, norm=group) mean()")), {}),
    "convolutions": (VAE(2, network=Network("conv(4, 3, stride=2) conv(3, 3) dense(8)")), {}),
    "few labels": (M2(2), {}),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_state_is_kept(tmp_path, name):
    """5 epochs of 4 steps or more, stopped after 3, 7 and 10 of them: within epochs and at their ends."""
    model, settings = VARIANTS[name]
    network = model.network if model.network.encoder else Network("dense(8)")

    def fit(run: Run | None, *watchers: StopAfter) -> Autoencoder:
        model.network = network
        estimator = Autoencoder(model, random_state=5, **({"epochs": 5, "batch_size": 64} | settings))
        told = model.takes_labels
        held_out = (DIGITS[200:], FEW[200:]) if told else DIGITS[200:]
        return estimator.fit(DIGITS[:200], FEW[:200] if told else None, validation=held_out, run=run, watchers=watchers)

    whole = fit(None)
    run = Run(tmp_path / "run", context=Context(checkpoint_minutes=0))
    for steps in (3, 4, 3):  # each time the step after the last checkpoint is lost and done again
        with pytest.raises(Stop):
            fit(run, StopAfter(steps))
    resumed = fit(run)
    for key, value in whole.net_.state_dict().items():
        assert torch.equal(value, resumed.net_.state_dict()[key]), f"{key} differs"
    ours, theirs = ([[cell for cell in row.items() if cell[0] not in TIMES] for row in each.history_]
                    for each in (resumed, whole))  # fmt: skip
    assert ours == theirs


def test_a_run_is_not_taken_up_with_other_settings(tmp_path):
    run = Run(tmp_path / "run")
    with pytest.raises(Stop):
        Autoencoder(VAE(2), epochs=3, random_state=0).fit(DIGITS, run=run, watchers=[StopAfter(1)])
    with pytest.raises(InputError, match="started with model"):
        Autoencoder(VAE(3), epochs=3, random_state=0).fit(DIGITS, run=Run(run.path))
    with pytest.raises(InputError, match="started with training"):
        Autoencoder(VAE(2), epochs=4, random_state=0).fit(DIGITS, run=Run(run.path))
    Autoencoder(VAE(2), epochs=3, random_state=0).fit(DIGITS, run=Run(run.path))
    with pytest.raises(InputError, match="is finished"):
        Autoencoder(VAE(2), epochs=3, random_state=0).fit(DIGITS, run=Run(run.path))
