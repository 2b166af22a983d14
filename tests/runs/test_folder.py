"""The run folder: whole files or none, nothing of others touched, every file readable by a stranger's tools."""

import contextlib
import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from latently import InputError
from latently.common.files import atomic_write, nan_to_null, write_json
from latently.data import ImageSet, load, split
from latently.data.imageset import pixel_hash
from latently.runs.folder import FORMAT, Context, Run
from latently.runs.record import DataRecord

PARAMS = {"model": {"name": "vae"}, "training": {"epochs": 3}, "resolved": {"device": "cpu"}, "binarise": "none",
          "seed": 0, "image_shape": [8, 8]}  # fmt: skip


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Writing


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with contextlib.suppress(ZeroDivisionError), atomic_write(path) as temporary:
        temporary.write_text("half of the ne")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old", "the old file must stay until the new one is whole"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_a_writer_that_fails_leaves_no_folder(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic_write(tmp_path / "b" / "c" / "a.txt"):
        raise ZeroDivisionError
    assert names(tmp_path) == []
    (tmp_path / "b").mkdir()
    with pytest.raises(ZeroDivisionError), atomic_write(tmp_path / "b" / "c" / "a.txt"):
        raise ZeroDivisionError
    assert names(tmp_path) == ["b"], "a folder that was there stays"


def test_an_error_of_the_disk_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left") as caught:
        write_json(tmp_path / "a.json", {})
    assert caught.value.filename == str(tmp_path / "a.json")


# Beginning


def test_a_run_begins_with_its_params(tmp_path):
    split = {"kind": "all", "train": [0], "validation": [], "test": []}
    run = Run(tmp_path / "deep" / "run", context=Context({"command": "latently train vae"}, split))
    assert not run.started
    run.begin(PARAMS)
    assert run.started
    assert run.begun
    assert not run.finished
    assert run.params == {"format": FORMAT, "command": "latently train vae"} | PARAMS
    assert run.read_split() == split


def test_an_unfinished_run_is_taken_up_by_its_settings_alone(tmp_path):
    run = Run(tmp_path)
    run.begin(PARAMS)
    (tmp_path / ".history.csv.99999999.tmp").write_text("what a killed writer left")
    Run(tmp_path).begin(PARAMS | {"versions": "others"})
    assert names(tmp_path) == ["params.json"]
    for changed in ({"seed": 1}, {"image_shape": [8, 9]}, {"training": {"epochs": 4}}, {"model": {"name": "ae"}}):
        with pytest.raises(InputError, match=f"started with {next(iter(changed))}"):
            Run(tmp_path).begin(PARAMS | changed)
    decided = PARAMS | {"training": {"epochs": 3, "device": "auto"}}
    Run(tmp_path).begin(decided)  # `auto` and what it was decided to be are one


def test_what_an_older_version_did_not_record_of_an_auto_is_not_compared(tmp_path):
    older = PARAMS | {"training": {"epochs": 3, "lr": "auto"}}
    now = older | {"resolved": {"device": "cpu", "lr": 0.003}}
    Run(tmp_path / "auto").begin(older)
    Run(tmp_path / "auto").begin(now)
    Run(tmp_path / "given").begin(older | {"training": {"epochs": 3, "lr": 0.01}})
    with pytest.raises(InputError, match="started with training"):
        Run(tmp_path / "given").begin(now)
    Run(tmp_path / "whole").begin(older | {"resolved": {}})
    with pytest.raises(InputError, match="started with training"):
        Run(tmp_path / "whole").begin(older | {"resolved": {}, "training": {"epochs": 3, "lr": 0.01}})


@pytest.mark.parametrize("overwrite", [False, True])
def test_only_a_free_place_or_a_run_of_ours_may_be_written(tmp_path, overwrite):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "params.json").write_text('{"format": "of another program"}')
    (tmp_path / "file").write_text("")
    for place in ("full", "other", "file", "file/below"):
        with pytest.raises(InputError):
            Run(tmp_path / place, overwrite).require_free()
    (tmp_path / "empty").mkdir()
    for place in ("empty", "new", "new/er"):
        Run(tmp_path / place, overwrite).require_free()
    assert names(tmp_path) == ["empty", "file", "full", "other"], "looking must change nothing"


def test_a_run_in_the_current_folder_and_one_behind_a_link_are_replaced(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for place in (tmp_path / "real", tmp_path / "link"):
        monkeypatch.chdir(place)
        Run(".", overwrite=True).begin(PARAMS)
        Run(place, overwrite=True).begin(PARAMS)
        assert names(place) == ["params.json"]


def test_a_link_to_figures_is_removed_but_not_followed(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "a.png").write_bytes(b"")
    run = Run(tmp_path / "run")
    run.begin(PARAMS)
    (run.path / "figures").symlink_to(tmp_path / "precious")
    Run(run.path, overwrite=True).begin(PARAMS)
    assert names(run.path) == ["params.json"]
    assert names(tmp_path / "precious") == ["a.png"]


# Reading


def test_weights_there_and_back(tmp_path):
    run, net = Run(tmp_path), nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    run.write_weights(net)
    other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    run.read_weights(other)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in net.state_dict().items())


def test_history_there_and_back(tmp_path):
    run = Run(tmp_path)
    rows = [{"epoch": 1.0, "train_loss": 0.1 + 0.2, "val_loss": float("nan")}, {"epoch": 2.0, "train_loss": 1e-300}]
    run.write_history(rows)
    text = (tmp_path / "history.csv").read_text()
    assert text.splitlines()[0] == "epoch,train_loss,val_loss"
    assert "\r" not in text
    assert next(csv.DictReader(text.splitlines()))["train_loss"] == "0.30000000000000004"


def test_metrics_are_json_for_every_reader(tmp_path):
    run = Run(tmp_path)
    run.write_metrics({"a_nats": float("inf"), "n": 3, "name": "x"})
    assert json.loads((tmp_path / "metrics.json").read_text(), parse_constant=pytest.fail) == {
        "a_nats": None, "n": 3, "name": "x",
    }  # fmt: skip
    assert nan_to_null({"a": 1.0, "b": -float("inf")}) == {"a": 1.0, "b": None}


def test_the_command_that_finishes_a_run_can_be_typed(tmp_path):
    run = Run(tmp_path / "it's here")
    run.begin(PARAMS)
    assert run.resume_command() == f"latently train vae --out '{tmp_path}/it'\"'\"'s here' --resume"


# Which images


def of_pixels(images: np.ndarray, source: str = "/somewhere") -> ImageSet:
    n = len(images)
    return ImageSet(images, np.full(n, -1), (), np.arange(n).astype(str), source)


def test_images_are_known_again_by_their_pixels_alone():
    images = load("digits").images[:20]
    ours = of_pixels(images)
    record = DataRecord.of(ours, split(ours), seed=3, limit=5)
    assert DataRecord.from_json(json.loads(json.dumps(record.to_json()))) == record
    assert record.describes(of_pixels(images.copy(), "/elsewhere"))
    assert record.describes(of_pixels(np.asfortranarray(images)))
    for other in (images[::-1], images[:19], images.astype(np.float32), images.reshape(20, 4, 16), 255 - images):
        assert pixel_hash(other) != record.digest
        assert not record.describes(of_pixels(other))


def test_a_run_without_a_digest_goes_by_place_and_number():
    ours = of_pixels(load("digits").images[:20])
    old = DataRecord.from_json(DataRecord.of(ours, split(ours)).to_json() | {"digest": ""})
    assert old.describes(ours)
    assert not old.describes(of_pixels(ours.images, "/elsewhere"))
    assert not old.describes(of_pixels(ours.images[:19]))
