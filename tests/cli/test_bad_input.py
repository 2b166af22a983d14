"""Bad input gets a sentence, and nothing is lost: exit code 2, no traceback, nothing made, changed or removed."""

import errno
import gzip
import http.server
import json
import os
import pickle
import shlex
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from latently.cli import flags
from latently.common import files
from latently.data import download, load, split
from latently.training.inference import Trained

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (12, 8, 8), dtype=np.uint8)
TRAIN = "train vae --latent-dim 2 --encoder dense(8) --epochs 1"


def contents(folder: Path) -> dict[str, Any]:
    """Every file and folder below, and what it holds."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@pytest.fixture
def refused(latently, tmp_path, monkeypatch) -> Callable[..., str]:
    """`refused("train vae ...", "part", ...)`: the command fails with one sentence that has the parts, nothing else."""
    monkeypatch.chdir(tmp_path)

    def refuse(command: str, *parts: str) -> str:
        before = contents(tmp_path)
        ran = latently(*shlex.split(command))
        assert ran.code == 2, f"exit code {ran.code}: {ran.err}"
        assert ran.out == "", f"stdout is for figures: {ran.out}"
        lines = ran.err.splitlines()
        *notes, sentence = [line for line in lines if not (line.startswith("note: ") and "pixels reach" in line)]
        assert sentence.startswith("latently: ")
        resuming = "--resume" in command  # says what it takes up before it reads the checkpoint
        assert len(notes) <= resuming, f"not one sentence: {ran.err}"
        for part in parts:
            assert part in ran.err, f"{part!r} is missing in: {ran.err}"
        after = contents(tmp_path)
        assert after == before, f"{sorted(after.keys() ^ before.keys()) or 'a file'} was made, changed or removed"
        return ran.err

    return refuse


# Usage


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        ("trian vae", ["no command 'trian'", "did you mean train?", "evaluate"]),
        ("--verbose", ["no command '--verbose'"]),
        ("train", ["which model?", "ae, vae"]),
        ("train gan --data digits --out r", ["no model 'gan'", "ae, vae"]),
        ("train --data digits --out r", ["no model '--data'", "the model comes first"]),
        ("train vae --data digits", ["--out PATH is missing"]),
        ("train vae --out r", ["give --data"]),
        ("train vae --data digits --out", ["--out has no value"]),
        ("train vae --data --out r", ["--data has no value"]),
        ("train vae --data digits --out r --epoch 3", ["no --epoch", "did you mean --epochs?"]),
        ("train vae --data digits --out r --bogus 3", ["no --bogus", "--help"]),
        ("train vae --data digits --out r stray", ["'stray'"]),
        ("train vae --data digits --out r --epochs many", ["--epochs is 'many'", "a whole number"]),
        ("train vae --data digits --out r --epochs 2.5", ["--epochs is '2.5'", "a whole number"]),
        ("train vae --data digits --out r --lr fast", ["--lr is 'fast'", "a number"]),
        ("train vae --data digits --out r --clip-norm big", ["--clip-norm is 'big'", "a number or none"]),
        ("train vae --data digits --out r --variance wide", ["--variance is 'wide'", "a number or learned"]),
        ("train vae --data digits --out r --likelihood normal", ["--likelihood is 'normal'", "bernoulli or gaussian"]),
        ("train vae --data digits --out r --image-size 8", ["--image-size is '8'", "two whole numbers"]),
        ("train vae --data digits --out r --resume --overwrite", ["contradict"]),
        ("evaluate", ["RUN is missing"]),
        ("encode", ["RUN and --out PATH are missing"]),
        ("encode r --ouut x.npz", ["--out PATH is missing", "no --ouut", "did you mean --out?"]),
        ("evaluate r --part half", ["--part is 'half'", "train or validation or test"]),
        ("plot", ["one or more run folders, then a kind of picture"]),
        ("data", ["SOURCE is missing"]),
        ("data digits 'Error parsing --x: is 3'", ["does not expect 'Error parsing --x: is 3' there"]),
        ("data digits 'For full helptext'", ["does not expect 'For full helptext' there"]),
        ("data digits ''", ["does not expect '' there"]),
        ("data digits --split 'a\nb'", ["--split is 'a\\nb'; expected auto or standard"]),
    ],
)
def test_usage(refused, command, parts):
    refused(command, *parts)


def test_a_message_that_tyro_words_anew_is_one_line():
    """Of a version that nobody has tried, tyro's own words do."""
    box = " Bad value\n ----\n  --split cannot\n  be 'half'.\n ----\n  For full helptext, run latently data --help\n"
    assert flags.sentence(box, "latently data") == "Bad value --split cannot be 'half'"


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        ("--latent-dim 0", ["--latent-dim is 0", "from 1"]),
        ("--latent-dim 100000000000000000000", ["--latent-dim is 1000", "2147483647"]),
        ("--epochs -1", ["--epochs is -1", "from 1"]),
        ("--batch-size 0", ["--batch-size is 0", "from 1"]),
        ("--lr nan", ["--lr is nan", "above 0"]),
        ("--lr 0", ["--lr is 0.0", "above 0"]),
        ("--lr inf", ["--lr is inf"]),
        ("--warmup 1", ["--warmup is 1.0"]),
        ("--ema 1", ["--ema is 1.0", "or none"]),
        ("--patience 0", ["--patience is 0", "or none"]),
        ("--clip-norm 0", ["--clip-norm is 0.0"]),
        ("--weight-decay -1", ["--weight-decay is -1.0"]),
        ("--beta -1", ["--beta is -1.0"]),
        ("--kl-warmup 2", ["--kl-warmup is 2.0"]),
        ("--flow-steps 2 --latent-dim 1", ["--flow-steps is 2, but a step halves the code"]),
        ("--variance 0", ["--variance is 0.0"]),
        ("--seed -1", ["--seed is -1"]),
        ("--seed 99999999999", ["--seed is 99999999999"]),
        ("--limit 0", ["--limit is 0"]),
        ("--limit 1438", ["--limit was 1,438", "1..1,437"]),
        ("--image-size 0 0", ["--image-size was (0, 0)", "from 1"]),
        ("--channels 2", ["--channels was 2", "1 (grey) or 3 (colour)"]),
        ("--checkpoint-epochs 0", ["--checkpoint-epochs is 0"]),
        ("--checkpoint-minutes nan", ["--checkpoint-minutes is nan"]),
        ("--split standard", ["digits", "--split random"]),
        ("--split all --patience 2", ["--patience", "validation"]),
        ("--preset mlp-513", ["no preset 'mlp-513'", "mlp-512"]),
        ("--encoder foo(3)", ["no layer 'foo'", "dense"]),
        ("--encoder 'conv(8'", ["cannot read 'conv(8'"]),
        ("--encoder dense(0)", ["width is 0"]),
        ("--encoder 'dense(8, activation=rleu)'", ["no activation 'rleu'", "relu"]),
        ("--decoder dense(3)", ["the decoder 'dense(3)'", "(1, 8, 8)"]),
        ("--encoder 'dense(2147483647) dense(2147483647)'", ["no network can be built"]),
        ("--latent-dim 2147483647", ["GB are free", "smaller"]),
        ("--device cuda:99", ["device is 'cuda:99'", "auto or cpu"]),
        ("--device toaster", ["device is 'toaster'"]),
        ("--device meta", ["device is 'meta'"]),
    ],
)
def test_a_setting_that_cannot_be(refused, flags, parts):
    refused(f"train vae --data digits --out r {flags}", *parts)


def test_a_setting_that_a_learned_prior_does_not_take(refused):
    refused(
        "train vamp --data digits --out r --flow-steps 2", "latently: --flow-steps is 2, but", "VampPrior", "leave it"
    )


def test_compiling_without_a_compiler(refused, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    refused(f"{TRAIN} --data digits --out r --compile on", "compile is 'on'", "g++", "'off'")


def test_a_compiler_that_is_broken(latently, tmp_path, monkeypatch):
    def explode(*_, **__):
        raise RuntimeError("CppCompileError: g++ died\nat great length")

    monkeypatch.setattr(torch, "compile", lambda loss, **_: explode)
    ran = latently(*shlex.split(f"{TRAIN} --data digits --compile on"), "--out", tmp_path / "r")
    assert ran.code == 2
    assert "the step cannot be compiled (CppCompileError: g++ died)" in ran.err
    assert "'off'" in ran.err


def test_tensorboard_that_is_not_installed(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    refused(f"{TRAIN} --data digits --out r --tensorboard", "pip install 'latently[tensorboard]'")


# Images


def idx(*sizes: int, n_bytes: int) -> bytes:
    return struct.pack(f">HBB{len(sizes)}I", 0, 8, len(sizes), *sizes) + bytes(n_bytes)


def save_png(path: Path, shape: tuple[int, ...] = (8, 8)) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8)).save(path)
    return path.read_bytes()


def empty_folder(at: Path) -> None:
    at.mkdir()


def truncated_png(at: Path) -> None:
    save_png(at / "a.png")
    (at / "b.png").write_bytes(save_png(at / "b.png")[:50])


def text_called_png(at: Path) -> None:
    save_png(at / "a.png")
    (at / "b.png").write_text("not a picture")


def other_size(at: Path) -> None:
    save_png(at / "a.png")
    save_png(at / "b.png", (9, 8))


def other_channels(at: Path) -> None:
    save_png(at / "a.png")
    save_png(at / "b.png", (8, 8, 3))


def write(content: bytes) -> Callable[[Path], None]:
    return lambda at: at.write_bytes(content) and None


def array(images: np.ndarray, **others: np.ndarray) -> Callable[[Path], None]:
    def save(at: Path) -> None:
        if at.suffix == ".npz":
            np.savez(at, images=images, **others)
        else:
            np.save(at, images, allow_pickle=True)

    return save


def not_finite(value: float) -> np.ndarray:
    images = GREY / 255
    images[3, 4, 5] = value
    return images


BAD_IMAGES: dict[str, tuple[str, Callable[[Path], None], list[str]]] = {
    "an empty folder": ("photos", empty_folder, ["photos holds no image", ".png"]),
    "a truncated PNG": ("photos", truncated_png, ["b.png", "cannot be read", "replace or remove"]),
    "a text called .png": ("photos", text_called_png, ["b.png", "cannot be read"]),
    "a truncated IDX": ("a-idx3-ubyte", write(idx(12, 8, 8, n_bytes=700)), ["12x8x8", "700 follow", "truncated"]),
    "an IDX with too much": ("a-idx3-ubyte", write(idx(12, 8, 8, n_bytes=900)), ["12x8x8", "more follow"]),
    "an IDX that lies": (
        "a-idx3-ubyte",
        write(idx(2**31, 2**15, 2**15, n_bytes=9)),
        ["promises 2147483648x32768x32768"],
    ),
    "an IDX of labels": ("a-idx1-ubyte", write(idx(12, n_bytes=12)), ["labels", "images"]),
    "a corrupted IDX": ("a-idx3-ubyte", write(b"\1\2\3\4" * 30), ["does not begin like an IDX file"]),
    "a truncated gz": ("a-idx3.gz", write(gzip.compress(idx(12, 8, 8, n_bytes=768))[:30]), ["a-idx3.gz", "damaged"]),
    "a damaged gz": ("a-idx3.gz", write(b"\x1f\x8b\x08" + bytes(40)), ["a-idx3.gz", "damaged"]),
    "a kind that is not known": ("a.pdf", write(b"%PDF"), ["no known kind", ".npz"]),
    "an npz without images": ("a.npz", lambda at: np.savez(at, pixels=GREY), ["'images'", "pixels"]),
    "a text called .npz": ("a.npz", write(b"hello"), ["a.npz is not a .npz archive"]),
    "labels of another length": ("a.npz", array(GREY, labels=np.arange(5)), ["12 images", "(5,)"]),
    "NaN": ("a.npy", array(not_finite(np.nan)), ["NaN", "image 3"]),
    "infinity": ("a.npy", array(not_finite(np.inf)), ["infinite", "image 3"]),
    "objects": ("a.npy", array(np.array([{}, 1], dtype=object)), ["a.npy", "Python objects"]),
    "complex numbers": ("a.npy", array(GREY * 1j), ["complex"]),
    "no images": ("a.npy", array(GREY[:0]), ["no images"]),
    "whole numbers beyond 255": ("a.npy", array(GREY.astype(int) * 9), ["0..255"]),
    "no squares": ("a.npy", array(GREY.reshape(12, 64)[:, :50]), ["50 values", "square"]),
    "a CSV of no squares": ("a.csv", write(b"1,2,3,4,5,6,7,8\n"), ["8 columns", "784"]),
    "a CSV of words": ("a.csv", write(b"1,2,3,4\n1,2,x,4\n"), ["line 2", "'x'"]),
    "an empty CSV": ("a.csv", write(b""), ["empty"]),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_images_that_cannot_be_used(refused, tmp_path, name):
    source, make, parts = BAD_IMAGES[name]
    make(tmp_path / source)
    refused(f"{TRAIN} --data {source} --out r", *parts)
    refused(f"data {source}", *parts)


@pytest.mark.parametrize(
    ("make", "parts"),
    [(other_size, ["b.png is 9x8", "--image-size"]), (other_channels, ["b.png is colour", "--channels"])],
)
def test_images_that_differ_are_refused_where_that_is_asked(refused, tmp_path, make, parts):
    make(tmp_path / "photos")
    refused(f"{TRAIN} --data photos --fit none --out r", *parts)
    refused("data photos --fit none", *parts)


def test_a_data_name_that_does_not_exist(refused):
    refused(f"{TRAIN} --data digitz --out r", "'digitz'", "did you mean digits?", "mnist", "folder")


def test_a_download_whose_bytes_do_not_match(refused, tmp_path, monkeypatch):
    class WrongBytes(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(gzip.compress(b"not the published archive"))

        def log_message(self, *_: object) -> None:
            pass

    cache = tmp_path / "cache"
    (cache / "kmnist").mkdir(parents=True)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), WrongBytes) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("LATENTLY_DATA", str(cache))
        monkeypatch.setitem(download.MIRRORS, "kmnist", (f"http://127.0.0.1:{server.server_port}/",))
        refused(f"{TRAIN} --data kmnist --out r", "kmnist", "no mirror", "LATENTLY_DATA")
        server.shutdown()


def test_pixels_beyond_0_to_1_want_another_likelihood(refused, latently, tmp_path):
    np.save(tmp_path / "a.npy", GREY / 100)
    refused(f"{TRAIN} --data a.npy --out r", "a Bernoulli likelihood expects 0 to 1", "gaussian")
    refused("train ae --encoder dense(8) --epochs 1 --data a.npy --out r", "squared-error")
    refused(f"{TRAIN} --data a.npy --out r --likelihood gaussian --binarise dynamic", "binarise", "0 to 1")
    assert latently(*shlex.split(f"{TRAIN} --data a.npy --out r --likelihood gaussian")).code == 0


def test_validation_pixels_are_held_to_the_same_range(refused, tmp_path):
    images = GREY / 255
    np.save(tmp_path / "a.npy", images)
    images[split(load(tmp_path / "a.npy")).validation[0], 0, 0] = 1.5
    np.save(tmp_path / "a.npy", images)
    refused(f"{TRAIN} --data a.npy --out r", "to 1.5", "expects 0 to 1")


def test_images_of_another_shape_than_the_run_s(refused, small_run, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 9, 8), np.uint8))
    for command in ("evaluate {run}", "score {run} --out s.csv", "encode {run} --out c.png"):
        refused(f"{command.format(run=small_run)} --data a.npy", "(9, 8)", "(8, 8)", "--image-size")


# Run folders


def test_a_run_that_exists_is_left_alone(refused, small_run, tmp_path):
    shutil.copytree(small_run, tmp_path / "r")
    refused(f"{TRAIN} --data digits --out r", "r exists", "--resume", "--overwrite")
    refused("demo --out r", "r exists", "--overwrite")
    refused("train ae --out r --resume", "r trains the model vae, not ae")


def test_a_folder_that_is_no_run_is_left_alone(refused, tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "thesis.tex").write_text("years of work")
    for flag in ("", "--overwrite", "--resume"):
        refused(f"{TRAIN} --data digits --out r {flag}", "not a run folder", "is not changed")


def test_a_foreign_params_json_is_left_alone(refused, tmp_path):
    (tmp_path / "params.json").write_text('{"learning_rate": 3}')
    refused(f"{TRAIN} --data digits --out . --overwrite", "params.json was not written by latently")


def test_a_run_below_a_file(refused, tmp_path):
    (tmp_path / "file").write_text("")
    refused(f"{TRAIN} --data digits --out file/r", "file is a file")
    refused(f"{TRAIN} --data digits --out file", "file is a file")
    refused("evaluate file", "file")


@pytest.mark.parametrize("command", ["evaluate r", "sample r", "report r", "plot r curves", "encode r --out c.npz"])
def test_a_run_that_is_not_there(refused, tmp_path, command):
    refused(command, "r does not exist", "latently train --out")
    (tmp_path / "r").mkdir()
    refused(command, "r is not a run folder", "params.json")


def test_resuming_what_is_not_there(refused):
    refused("train vae --out r --resume", "no run to resume", "give --data")


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        ("--epochs 9", ["--epochs is 9", "started with 3"]),
        ("--latent-dim 5", ["--latent-dim is 5", "started with 2"]),
        ("--encoder dense(9)", ["--encoder is dense(9)", "dense(16)"]),
        ("--seed 1", ["--seed is 1", "started with 3"]),
        ("--data mnist", ["--data is mnist", "digits"]),
        ("--limit none", ["--limit is None", "300"]),
        ("--binarise static", ["--binarise is static"]),
        ("--image-size 4 4", ["--image-size is (4, 4)"]),
        ("--preset mlp-512", ["--preset is mlp-512"]),
    ],
)
def test_resuming_with_another_setting(refused, interrupted_run, tmp_path, flags, parts):
    shutil.copytree(interrupted_run, tmp_path / "r")
    refused(f"train vae --out r --resume {flags}", *parts, "leave it out")


def test_resuming_on_images_that_have_changed(refused, latently, tmp_path):
    np.save(tmp_path / "a.npy", GREY)
    assert latently(*shlex.split(f"{TRAIN} --data a.npy --out r")).code == 0
    (tmp_path / "r" / "model.safetensors").unlink()
    np.save(tmp_path / "a.npy", 255 - GREY)
    refused("train vae --out r --resume", "a.npy has changed", "restore it")


def test_using_a_run_that_is_not_finished(refused, interrupted_run):
    refused(f"evaluate {interrupted_run}", "is not finished", f"latently train vae --out {interrupted_run} --resume")


# Files of a run that are damaged or foreign


@pytest.fixture
def damaged(small_run, interrupted_run, tmp_path) -> Path:
    """Two runs to harm: r is finished, u is not."""
    shutil.copytree(small_run, tmp_path / "r")
    shutil.copytree(interrupted_run, tmp_path / "u")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["not JSON"]),
        ('{"format": 1, "model"', ["not JSON"]),
        ("\xff\xfe", ["params.json"]),
        ("[" * 100_000, ["params.json"]),
        ("[]", ["not written by latently"]),
        ("{}", ["not written by latently"]),
        ('{"format": 1, "model": "vae"}', ["not written by latently"]),
        ('{"format": 999, "model": {"name": "vae"}}', ["format 999, newer", "update latently"]),
        ('{"format": 1, "model": {"name": "vae"}}', ["it lacks '"]),
        ('{"format": 1, "model": {"name": "os.system"}, "training": {}, "binarise": "none", "seed": 0, '
         '"estimator": "autoencoder"}',
         ["no model 'os.system'", "ae, vae"]),
    ],
)  # fmt: skip
def test_params_json_that_is_damaged_or_foreign(refused, damaged, text, parts):
    for run, command in (("r", "evaluate r"), ("r", "sample r"), ("u", "train vae --out u --resume")):
        (damaged / run / "params.json").write_text(text, encoding="latin-1")
        refused(command, *parts)


def leaves(values: dict[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The places of a nested dict."""
    inner = [leaves(value, (*above, name)) for name, value in values.items() if isinstance(value, dict)]
    return [(*above, name) for name in values] + [place for places in inner for place in places]


WRONG = ["(lost)", None, "x", -1, 10**30, []]


@pytest.mark.parametrize("thorough", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_any_wrong_value_in_params_json_is_a_sentence(latently, damaged, thorough):
    """Every place of the file in turn lost, or filled with values that do not belong there."""
    path = damaged / "r" / "params.json"
    good = json.loads(path.read_text())
    n_refused = n_tried = 0
    for i, (*above, name) in enumerate(leaves(good)):
        for wrong in WRONG if thorough else [WRONG[i % len(WRONG)]]:
            params = json.loads(json.dumps(good))
            place = params
            for each in above:
                place = place[each]
            if wrong == "(lost)":
                del place[name]
            else:
                place[name] = wrong
            path.write_text(json.dumps(params))
            ran = latently("evaluate", damaged / "r", "--json")
            assert ran.code in (0, 2), f"{above} {name} = {wrong!r}: {ran.err}"
            assert ran.err.count("\n") == (ran.code == 2), f"{above} {name} = {wrong!r}: {ran.err}"
            n_tried, n_refused = n_tried + 1, n_refused + (ran.code == 2)
    assert n_refused > 0.5 * n_tried, "most wrong values must be found"


def test_weights_of_another_shape(refused, damaged):
    path = damaged / "r" / "model.safetensors"
    weights = load_file(path)
    name = next(name for name in weights if name.endswith("weight"))
    narrower, halved = weights[name][:, :-1].contiguous(), weights[name].half()
    for harmed in ({**weights, name: narrower}, {**weights, name: halved}, {**weights, "extra": torch.zeros(3)}):
        save_file(harmed, path)
        refused("evaluate r", "model.safetensors", "params.json")
    save_file({key: value for key, value in weights.items() if key != name}, path)
    refused("evaluate r", "model.safetensors", f"lacks {name!r}")


@pytest.mark.parametrize("content", [b"", b"hello", bytes(8), b"\xff" * 100, b"\x10\0\0\0\0\0\0\0{}"])
def test_weights_that_are_no_safetensors(refused, damaged, content):
    (damaged / "r" / "model.safetensors").write_bytes(content)
    refused("evaluate r", "model.safetensors", "safetensors file", "train again")


def test_weights_that_are_cut_short(refused, damaged):
    path = damaged / "r" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    refused("evaluate r", "model.safetensors", "safetensors file")


class Trap:
    """Unpickling it leaves a file behind."""

    def __reduce__(self):
        return open, ("sprung", "w")


def test_a_pickle_is_never_opened(refused, damaged):
    torch.save(Trap(), damaged / "torch.pt")
    (damaged / "plain.pt").write_bytes(pickle.dumps(Trap()))
    np.save(damaged / "a.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    np.savez(damaged / "a.npz", images=np.array([Trap()], dtype=object))
    shutil.copy(damaged / "plain.pt", damaged / "b.npy")
    for source in ("torch.pt", "plain.pt"):
        shutil.copy(damaged / source, damaged / "r" / "model.safetensors")
        shutil.copy(damaged / source, damaged / "u" / "checkpoint" / "state.safetensors")
        refused("evaluate r", "model.safetensors")
        refused("train vae --out u --resume", "state.safetensors", "remove u/checkpoint")
    for source in ("a.npy", "a.npz", "b.npy"):
        refused(f"{TRAIN} --data {source} --out new", source)
    assert not (damaged / "sprung").exists(), "a pickle was opened"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["no epoch"]),
        ("epoch,train_loss\n", ["no epoch"]),
        ("epoch,train_loss\n1,x\n", ["'x'"]),
        ("epoch,train_loss\n1,2,3\n", ["history.csv"]),
        ("epoch,train_loss\n1\n", ["history.csv"]),
        ("\xff\0", ["history.csv"]),
    ],
)
def test_history_that_is_damaged(refused, damaged, text, parts):
    (damaged / "r" / "history.csv").write_text(text, encoding="latin-1")
    refused("plot r curves", "history.csv cannot be used", *parts)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"kind": "random", "train": [0], "validation": [], "test": [99999]}',
             '{"kind": "random", "train": [0], "validation": [], "test": [-1]}',
             '{"kind": "random", "train": [0], "validation": [], "test": [[1], [2]]}']
)  # fmt: skip
def test_a_split_that_is_damaged(refused, damaged, text):
    for run, command in (("r", "evaluate r"), ("u", "train vae --out u --resume")):
        (damaged / run / "split.json").write_text(text)
        refused(command, "split.json")


def test_a_checkpoint_that_is_damaged(refused, damaged):
    path = damaged / "u" / "checkpoint" / "state.safetensors"
    state = load_file(path)
    for content in (b"", b"hello", path.read_bytes()[:200], path.read_bytes()[:-50]):
        path.write_bytes(content)
        refused("train vae --out u --resume", "state.safetensors")
    for lost in ("loop/losses", next(name for name in state if name.startswith("net/")), "loop/cpu_generator"):
        save_file({name: value for name, value in state.items() if name != lost}, path)
        refused("train vae --out u --resume", "state.safetensors cannot be used", "remove u/checkpoint")


# What is written


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        ("encode r --out codes.txt", ["codes.txt", ".npz, .npy, .csv, .png"]),
        ("encode r --out codes", [".npz, .npy, .csv, .png"]),
        ("score r --out r", [".npz, .npy, .csv, .png"]),
        ("reconstruct r --out file/x.npz", ["file is a file"]),
        ("sample r --out s.pdf", ["s.pdf", ".png"]),
        ("sample r -n 0", ["-n is 0"]),
        ("sample r -n -3", ["-n is -3"]),
        ("sample r --seed -3", ["--seed is -3"]),
        ("plot r", ["a kind of picture"]),
        ("plot r portrait", ["no picture 'portrait'", "curves, reconstructions, scatter"]),
        ("plot r curve", ["did you mean curves?"]),
        ("plot r curves --out c.jpg", ["c.jpg", ".png, .pdf, .svg"]),
        ("plot r all --out c.png", ["--out", "several pictures"]),
        ("plot r r curves --out c.png", ["--out", "several pictures"]),
        ("plot r canvas --grid 0", ["--grid is 0"]),
        ("plot r canvas --range -1", ["--range is -1"]),
        ("plot r samples -n 0", ["-n is 0"]),
        ("plot r denoising", ["'denoising' needs a dae"]),
        ("plot r mean-noise --noise -1", ["--noise is -1"]),
        ("denoise r --out clean", ["vae has not learned to remove noise; train a dae"]),
        ("denoise r --out photos", ["photos, which is not empty"]),
        ("denoise r --out clean.txt", ["clean.txt", ".npz, .npy, .csv, .png"]),
        ("encode r --out r/history.csv", ["r/history.csv", "a file of the run"]),
        ("encode r --data folder.npy --out folder.npy", ["among the images"]),
        ("encode r --data photos --out photos/1.png", ["among the images"]),
        ("encode r --data photos --out photos/new.png", ["among the images"]),
        ("plot r scatter --data photos --out photos/new.png", ["among the images"]),
        ("train vae --data photos --out photos/run", ["among the images"]),
        ("encode r --out folder.npy --data folder.npy --part test", ["no test images", "--part"]),
    ],
)
def test_outputs_that_cannot_be(refused, damaged, command, parts):
    (damaged / "file").write_text("")
    np.save(damaged / "folder.npy", GREY)
    save_png(damaged / "photos" / "1.png")
    refused(command, *parts)


def test_a_picture_that_the_model_cannot_give(refused, latently, tmp_path):
    wide = shlex.split("--latent-dim 3 --encoder dense(8) --epochs 1 --data digits --limit 200 --out ae")
    refused("evaluate ae", "does not exist")  # and we stand in tmp_path
    assert latently("train", "ae", *wide).code == 0
    refused("plot ae canvas", "2 dimensions", "traversals")
    refused("plot ae samples", "no prior", "vae")
    refused("plot ae traversals", "prior", "vae")
    refused("sample ae", "no prior", "vae")


# The disk


def full_disk(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "command",
    [
        f"{TRAIN} --data digits --out new/r",
        f"{TRAIN} --data digits --out r --overwrite",
        "encode r --out new/c.npz",
        "encode r --out c.csv",
        "score r --out s.npy",
        "evaluate r",
    ],
)
def test_a_full_disk(refused, damaged, monkeypatch, command):
    monkeypatch.setattr(files.os, "fsync", full_disk)
    refused(command, "No space left on device", "free some space")


def test_a_disk_that_fills_while_training_leaves_a_run_that_goes_on(latently, small_run, tmp_path, monkeypatch):
    writes: list[int] = []
    fsync = os.fsync

    def fills(file: int) -> None:
        writes.append(file)
        if len(writes) == 8:
            full_disk(file)
        fsync(file)

    flags = shlex.split("--latent-dim 2 --limit 300 --encoder dense(16) --epochs 3 --lr 0.02 --seed 3 --data digits")
    monkeypatch.setattr(files.os, "fsync", fills)
    ran = latently("train", "vae", *flags, "--out", tmp_path / "r")
    monkeypatch.undo()
    assert ran.code == 2
    assert "No space left on device" in ran.err
    assert f"resume with: latently train vae --out {tmp_path / 'r'} --resume" in ran.err
    assert latently("train", "vae", "--out", tmp_path / "r", "--resume").code == 0
    ours, theirs = ((run / "model.safetensors").read_bytes() for run in (tmp_path / "r", small_run))
    assert ours == theirs, "the weights differ from those of a run on a disk with space"


def test_no_right_to_write(refused, damaged, monkeypatch):
    refused(f"{TRAIN} --data digits --out /proc/latently/r", "/proc/latently")
    monkeypatch.setattr(files.os, "access", lambda path, mode: False)
    refused(f"{TRAIN} --data digits --out new", "new/params.json cannot be written", "choose another place")
    refused("encode r --out c.npz", "c.npz cannot be written", "choose another place")


def test_no_right_to_read(refused, damaged, monkeypatch):
    def forbidden(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "read_text", forbidden)
    refused("evaluate r", "params.json: Permission denied", "get permission to write there")


def test_memory_that_runs_out(refused, damaged, monkeypatch):
    refused("sample r -n 9999999999999", "n is 9999999999999")
    monkeypatch.setattr(Trained, "sample", lambda *_, **__: torch.empty(2**50))
    refused("sample r -n 5", "out of memory")


# In a process of its own


@pytest.mark.parametrize(
    "command",
    [
        "evaluate r",
        pytest.param("train vae --data nothing --out r2", marks=pytest.mark.slow),
        pytest.param("train vae --data digits --out r2 --latent-dim 0", marks=pytest.mark.slow),
    ],
)
def test_a_process_ends_with_code_2_and_one_sentence(damaged, command):
    (damaged / "r" / "model.safetensors").write_bytes(pickle.dumps(Trap()))
    ran = subprocess.run(
        [sys.executable, "-m", "latently", *command.split()],
        cwd=damaged,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 2, ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stderr.count("\n") == 1, ran.stderr
    assert not (damaged / "r2").exists()
    assert not (damaged / "sprung").exists()
