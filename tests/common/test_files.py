"""Every file that latently writes is flushed to the disk before it takes its place."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from latently import pictures
from latently.common.files import write_json, write_text
from latently.data import download
from latently.report.page import write_page
from latently.runs.outputs import write_arrays
from latently.runs.tensors import write_tensors

WRITERS: dict[str, Callable[[Path], object]] = {
    "a.json": lambda path: write_json(path, {}),
    "a.txt": lambda path: write_text(path, "a"),
    "a.safetensors": lambda path: write_tensors(path, {"a": torch.zeros(1)}),
    "a.npz": lambda path: write_arrays(path, np.array(["1"]), {"codes": np.zeros((1, 2))}),
    "a.csv": lambda path: write_arrays(path, np.array(["1"]), {"codes": np.zeros((1, 2))}),
    "a.png": lambda path: pictures.save(Figure(), path),
    "a.html": lambda path: write_page("<html>", path),
    "a.gz": lambda path: download._write(path, b"a"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_reaches_the_disk_before_it_takes_its_place(tmp_path, monkeypatch, name):
    happened: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (happened.append("fsync"), fsync(file)))
    monkeypatch.setattr(
        os, "replace", lambda old, new: (happened.append(f"replace {Path(new).name}"), replace(old, new))
    )
    WRITERS[name](tmp_path / name)
    assert happened == ["fsync", f"replace {name}"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", WRITERS)
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, name):
    (tmp_path / name).write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", lambda file: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises((OSError, ValueError), match="No space left"):
        WRITERS[name](tmp_path / name)
    assert (tmp_path / name).read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == [name]
