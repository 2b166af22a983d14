"""Several processes train what one would: the same gradient, the same figures, one writer."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from commands import history, output_of, start, wait_for

from latently.cli.main import main
from latently.runs.folder import Run
from latently.runs.tensors import read_tensors
from latently.training.distributed import Processes

able = dist.is_available() and dist.is_gloo_available()
pytestmark = pytest.mark.skipif(not able, reason="this build of torch has no gloo, which joins processes on a CPU")

VAE = "train vae --data digits --encoder dense(16) --latent-dim 2 --compile off"


def started(run: Path, command: str, n: int = 2) -> list[BaseProcess]:
    """As torchrun starts them: n processes that are told their rank, and where the first one listens."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(n)}
    return [start(run, command, rank, RANK=str(rank), LOCAL_RANK=str(rank), **place) for rank in range(n)]


def codes(processes: list[BaseProcess]) -> list[int | None]:
    for process in processes:
        process.join(300)
    return [process.exitcode for process in processes]


def trained(run: Path, command: str, n: int = 2) -> Path:
    assert codes(started(run, command, n)) == [0] * n, [output_of(run, rank).read_text() for rank in range(n)]
    return run


def weights(run: Path) -> dict[str, torch.Tensor]:
    return read_tensors(run / "model.safetensors")[0]


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [1, 4, 7])
def test_every_image_of_a_batch_is_in_one_share(n, size):
    shares = [Processes(rank, n).shard(torch.arange(size)) for rank in range(n)]
    assert all(len(part) > 0 for part, _ in shares), "a process without an image could not take part"
    assert torch.cat([part for part, counts in shares if counts]).tolist() == list(range(size))


def test_three_processes_take_the_steps_of_one(tmp_path):
    """Without noise the weights are the same but for rounding: 301 images in uneven shares, the last batch a single
    image, which two of the three do not have; gradients clipped, weights averaged."""
    command = (
        "train ae --data digits --limit 301 --encoder dense(16) --latent-dim 3 --epochs 3 --batch-size 100 --lr 1e-3 "
        "--clip-norm 0.5 --ema 0.9 --precision float32 --compile off"
    )
    assert main([*shlex.split(command), "--out", str(tmp_path / "one")]) == 0
    trained(tmp_path / "three", command, n=3)
    alone, shared = weights(tmp_path / "one"), weights(tmp_path / "three")
    for name, value in alone.items():
        torch.testing.assert_close(shared[name], value, rtol=1e-3, atol=2e-4, msg=lambda said, name=name: name + said)
    rows = [[float(value) for row in history(tmp_path / name) for _, value in row] for name in ("one", "three")]
    np.testing.assert_allclose(rows[1], rows[0], rtol=1e-5, err_msg="losses are not summed over all shares")


def test_noise_differs_between_processes_and_validation_does_not(tmp_path):
    """Two VAEs with weights that stand still: their training noise is drawn apart, their validation noise is one."""
    still = f"{VAE} --epochs 1 --lr 1e-30 --precision float32"
    assert main([*shlex.split(still), "--out", str(tmp_path / "one")]) == 0
    one, two = (dict(history(run)[0]) for run in (tmp_path / "one", trained(tmp_path / "two", still)))
    assert float(two["val_loss"]) == pytest.approx(float(one["val_loss"]), rel=1e-6)
    assert two["train_loss"] != one["train_loss"]
    assert float(two["train_loss"]) == pytest.approx(float(one["train_loss"]), rel=1e-2)


@pytest.mark.parametrize(
    "model", ["classifier", *(pytest.param(name, marks=pytest.mark.slow) for name in ("dae", "cvae", "vamp"))]
)
def test_every_model_trains(tmp_path, model):
    layers = "--layers" if model == "classifier" else "--encoder"
    run = trained(tmp_path / "run", f"train {model} --data digits --limit 400 {layers} dense(16) --epochs 2")
    assert len(history(run)) == 2
    assert len((run / "train.log").read_text().splitlines()) == 2, "more than one process writes the log"
    assert not output_of(run, rank=1).read_text(), "more than one process speaks"
    assert Run(run).params["processes"] == 2


STOPPING = f"{VAE} --limit 600 --epochs 60 --patience 3 --lr 0.05 --schedule constant --checkpoint-minutes 0"


@pytest.fixture(scope="module")
def stopped_early(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("whole") / "run", STOPPING)


def killed(run: Path, epochs: int) -> Path:
    """Two processes, killed -9 after some epochs."""
    processes = started(run, STOPPING)
    wait_for(lambda: (run / "history.csv").exists() and len(history(run)) >= epochs, processes[0])
    for process in processes:
        process.kill()
    assert codes(processes) == [-signal.SIGKILL] * 2, "the kill came too late to interrupt anything"
    return run


def test_both_stop_early_and_a_killed_run_goes_on_to_the_same_weights(stopped_early, tmp_path):
    n_epochs = len(history(stopped_early))
    assert 3 < n_epochs < 60, "early stopping has not come to its decision"
    run = killed(tmp_path / "run", epochs=2)
    trained(run, "train vae --resume")
    assert history(run) == history(stopped_early), "the history differs in more than timings"
    assert (run / "model.safetensors").read_bytes() == (stopped_early / "model.safetensors").read_bytes()
    assert not list(run.rglob(".*")), "a writer that was killed left its file"


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 3])
def test_another_number_of_processes_takes_a_run_up(stopped_early, tmp_path, n):
    run = killed(tmp_path / "run", epochs=2)
    first = history(run)[0]  # the second row may be younger than the checkpoint
    trained(run, "train vae --resume", n)
    assert history(run)[0] == first
    lowest = [min(float(dict(row)["val_loss"]) for row in history(each)) for each in (run, stopped_early)]
    assert lowest[0] == pytest.approx(lowest[1], abs=1.0), "the figures are of another training"


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupt_of_one_is_an_interrupt_of_all(tmp_path, number):
    run = tmp_path / "run"
    processes = started(run, f"{VAE} --epochs 10000 --checkpoint-epochs 9999")
    wait_for((run / "history.csv").exists, processes[0])
    os.kill(processes[1].pid or 0, number)
    assert codes(processes) == [130, 130], output_of(run).read_text()
    assert Run(run).checkpoint.exists(), "an interrupt must save"
    assert f"resume with: latently train vae --out {run} --resume" in output_of(run).read_text()
    assert not output_of(run, rank=1).read_text(), "the interrupted process speaks in the first one's place"


@pytest.mark.parametrize("dead", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_process_that_dies_ends_the_others(tmp_path, dead):
    run = tmp_path / "run"
    processes = started(run, f"{VAE} --epochs 10000")
    wait_for((run / "history.csv").exists, processes[0])
    processes[dead].kill()
    started_at = time.monotonic()
    assert codes(processes)[1 - dead] == 2, output_of(run).read_text()
    assert time.monotonic() - started_at < 100, "it was waited for"
    assert "Traceback" not in output_of(run).read_text() + output_of(run, rank=1).read_text()
    if dead == 1:
        assert "another process of this training has ended" in output_of(run).read_text()
        assert "--resume" in output_of(run).read_text()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (f"{VAE} --limit 1", "2 processes were started to share batches of 1"),
        ("encode somewhere", "only latently train can use several"),
        pytest.param(f"{VAE} --lr -1", "--lr is -1.0", marks=pytest.mark.slow),
        pytest.param("train few-label --data digits --n-labels 100", "train in one process", marks=pytest.mark.slow),
        pytest.param(f"{VAE} --device cuda:7", "cuda:7", marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_is_said_once(tmp_path, command, said):
    run = tmp_path / "run"
    assert codes(started(run, command)) == [2, 2]
    assert said in output_of(run).read_text()
    assert output_of(run).read_text().count("\n") == 1
    assert not output_of(run, rank=1).read_text()
    assert not run.exists()


@pytest.mark.slow
def test_torchrun(tmp_path):
    words = [*shlex.split(VAE), "--epochs", "1", "--json", "--out", str(tmp_path / "run")]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "latently"]
    ran = subprocess.run([*torchrun, *words], capture_output=True, text=True, timeout=400, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("val_loss") == 1, "one process alone prints figures"
    assert Run(tmp_path / "run").finished
