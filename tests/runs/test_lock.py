"""One writer at a time: who comes second is told who holds the folder, and a writer that was killed holds nothing."""

import os
import platform
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

from latently import VAE, Autoencoder, InputError, Network
from latently.data import load
from latently.runs import lock
from latently.runs.folder import Run
from latently.runs.lock import LOCK_FILE, hold, require_unheld
from latently.training.state import Watcher

HOLDS = "import sys, time; from latently.runs.lock import hold; from pathlib import Path\n" \
        "with hold(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"  # fmt: skip


@contextmanager
def holding(folder):
    """Another process holds the folder; it is killed in the end."""
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_second_writer_is_told_who_holds_the_folder_until_it_is_killed(tmp_path):
    run = tmp_path / "new" / "run"
    with holding(run) as process:
        said = f"run is being written by process {process.pid} on {platform.node()}, since 20"
        with pytest.raises(InputError, match=said), hold(run):
            pass
        with pytest.raises(InputError, match=said):
            require_unheld(run)
    assert names(run) == [LOCK_FILE], "a killed process cannot tidy up"
    require_unheld(run)
    with hold(run):
        assert f'"pid": {os.getpid()}' in (run / LOCK_FILE).read_text()
    assert names(run) == []


def test_a_folder_that_was_made_for_nothing_is_removed(tmp_path):
    with pytest.raises(ZeroDivisionError), hold(tmp_path / "a" / "b"):
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_the_lock_of_a_file_that_was_just_removed_counts_for_nothing(tmp_path, monkeypatch):
    """Its writer ended between our opening the file and our locking it; a third may have made another by now."""
    locking, asked = lock.lock, []

    def locked(descriptor):
        if not asked:
            (tmp_path / LOCK_FILE).unlink()
        asked.append(descriptor)
        return locking(descriptor)

    monkeypatch.setattr(lock, "lock", locked)
    with hold(tmp_path):
        assert len(asked) == 2
        with pytest.raises(InputError, match="being written"):
            require_unheld(tmp_path)


def test_a_command_that_would_write_there_says_who_does(latently, interrupted_run, tmp_path):
    run = shutil.copytree(interrupted_run, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    with holding(run) as process:
        for flags in ([], ["--overwrite"], ["--resume"]):
            second = latently("train", "vae", "--data", "digits", *flags, "--out", run)
            assert second.code == 2
            assert f"{run} is being written by process {process.pid} on {platform.node()}, since" in second.err
            assert len(second.err.splitlines()) == 1
        assert all((run / name).read_bytes() == content for name, content in before.items()), "the first one's files"
    assert latently("train", "vae", "--out", run, "--resume").code == 0
    assert LOCK_FILE not in names(run)


def test_a_run_is_held_from_its_first_file_to_its_last(tmp_path):
    digits, run, held = load("digits").images[:50], Run(tmp_path / "run"), []

    class Watch(Watcher):
        def note(self, *_):
            with pytest.raises(InputError, match="being written"):
                run.require_unheld()
            held.append(run.started)

        started = epoch_ended = note

    Autoencoder(VAE(2, Network("dense(8)")), epochs=1).fit(digits, run=run, watchers=[Watch()])
    assert held == [True, True]
    assert LOCK_FILE not in names(run.path)


def test_a_second_fit_of_one_process_cannot_write_there_either(tmp_path):
    digits, run = load("digits").images[:50], Run(tmp_path / "run")
    autoencoder = Autoencoder(VAE(2, Network("dense(8)")), epochs=1)
    with hold(run.path):
        for second in (lambda: autoencoder.fit(digits, run=run), lambda: autoencoder.fit(digits).save(run.path)):
            with pytest.raises(InputError, match=f"being written by process {os.getpid()}"):
                second()
        assert names(run.path) == [LOCK_FILE], "what was refused leaves nothing behind"
    autoencoder.fit(digits, run=run)
