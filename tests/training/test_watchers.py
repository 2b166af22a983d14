"""Who watches a run: what a bar, a log and TensorBoard show, and that watching changes nothing."""

import io
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console

from latently import VAE, Autoencoder, Network
from latently.data import load
from latently.runs.folder import Run
from latently.training.state import Watcher
from latently.training.watchers import Bar, Log, TensorBoard

DIGITS = load("digits").images[:250]


def fit(*watchers, run=None, epochs=3):
    estimator = Autoencoder(VAE(2, Network("dense(8)")), epochs=epochs, batch_size=64, random_state=0)
    return estimator.fit(DIGITS[:200], validation=DIGITS[200:], watchers=watchers, run=run)


def test_watching_changes_nothing(tmp_path):
    with Bar() as bar:
        watched = fit(bar, Log(tmp_path / "log"), TensorBoard(tmp_path / "tensorboard"))
    alone = fit()
    for name, value in alone.net_.state_dict().items():
        assert torch.equal(value, watched.net_.state_dict()[name]), f"{name} differs"


def test_the_log_has_a_line_an_epoch_with_every_figure(tmp_path):
    estimator = fit(Log(tmp_path / "log"))
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 3
    for line, row in zip(lines, estimator.history_, strict=True):
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d epoch=", line)
        figures = dict(word.split("=") for word in line.split()[2:])
        assert figures.keys() == row.keys()
        assert float(figures["val_loss"]) == pytest.approx(row["val_loss"], rel=1e-5)


def test_without_a_terminal_there_are_lines_on_stderr(capsys):
    with Bar() as bar:
        fit(bar)
    out, err = capsys.readouterr()
    assert out == ""
    first, last = err.splitlines()
    assert re.fullmatch(r"epoch 1/3  train \d+\.\d\d  val \d+\.\d\d  [\d,]+ images/s", first)
    assert last.startswith("epoch 3/3  train ")


def test_on_a_terminal_there_is_a_bar(monkeypatch):
    monkeypatch.setattr("latently.training.watchers.REFRESH_SECONDS", 0)
    bar, screen = Bar(), io.StringIO()
    bar.console = Console(file=screen, force_terminal=True, width=120)
    bar.bar.live.console, bar.bar.disable = bar.console, False
    with bar:
        fit(bar)
        shown = bar.bar.tasks[0]
    assert (shown.completed, shown.total) == (12, 12)
    assert shown.fields["epoch"] == "epoch 3/3"
    assert re.fullmatch(r"train \d+\.\d\d  val \d+\.\d\d", shown.fields["terms"])
    assert re.fullmatch(r"[\d,]+ images/s", shown.fields["rate"])
    assert "epoch 3/3" in screen.getvalue()  # how many frames are drawn before depends on the machine


def test_tensorboard_gets_scalars_and_histograms_and_a_resume_goes_on(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    class StopAfterTwoEpochs(Watcher):
        def stepped(self, state, settings):
            if state.epoch == 2:
                raise KeyboardInterrupt

        def epoch_ended(self, state, settings):
            pass

    folder = tmp_path / "run" / "tensorboard"
    watcher = TensorBoard(folder)
    assert not folder.exists(), "nothing is made before the training begins"
    with pytest.raises(KeyboardInterrupt):
        fit(watcher, StopAfterTwoEpochs(), run=Run(tmp_path / "run"))
    estimator = fit(TensorBoard(folder), run=Run(tmp_path / "run"))
    events = EventAccumulator(str(folder), {"histograms": 0, "scalars": 0}).Reload()
    weights = dict(estimator.net_.named_parameters())
    assert set(events.Tags()["histograms"]) == {
        f"{kind}/{name}" for kind in ("weights", "gradients") for name in weights
    }
    losses = [(event.step, event.value) for event in events.Scalars("val/loss")]
    assert [step for step, _ in losses] == [1, 2, 3]
    assert np.allclose([value for _, value in losses], [row["val_loss"] for row in estimator.history_])


def test_in_a_notebook_one_line_is_replaced(monkeypatch):
    """A bar of rich's would need ipywidgets; a line per refresh would fill the notebook."""
    shown = []

    class Display:
        def update(self, content):
            shown.append(content)

    def display(content, display_id):
        shown.append(content)
        return Display()

    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1)))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(HTML=str, display=display))
    with Bar() as bar:
        fit(bar, epochs=20)
    assert 2 <= len(shown) <= 20, "drawn at the start, at most five times a second, and at the end"
    assert shown[0].startswith("<progress style=")
    assert 'value="80" max="80"' in shown[-1]
    assert re.search(r"epoch 20/20 · train \d+\.\d\d  val \d+\.\d\d · [\d,]+ images/s", shown[-1])
