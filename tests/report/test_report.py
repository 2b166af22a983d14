"""The report of a made-up run: every figure and picture is in it, and nothing of a stranger's text is HTML."""

import base64
import json
import re
from html.parser import HTMLParser
from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from latently import report
from latently.common.errors import InputError

EVIL = '<script>alert("x")</script>'
PARAMS = {
    "format": 1,
    "latently": "0.1.0",
    "command": "latently train vae --data digits --out 'a run' && echo <done>",
    "model": {"name": "vae", "latent_dim": 20, "network": {"encoder": "dense(512)", "decoder": None}},
    "training": {"epochs": 3, "batch_size": 128, "lr": 0.001},
    "data": {"source": f"photos/{EVIL}", "split": "random", "n_train": 1437},
    "image_shape": [8, 8],
    "classes": ["0", EVIL],
    "n_parameters": 12345,
    "versions": {"torch": "2.13.0"},
    "seed": 0,
    "compile": False,
}
METRICS = {
    "psnr_db": 19.5,
    "elbo_nats": -102.3812,
    "kl_nats": 25.361,
    "accuracy": 0.9351,
    "accuracy_std": 0.0123,
    "blur_nats": 3.0,
    "n_images": 10000,
    "split": "test",
}
HISTORY = """epoch,seconds,learning_rate,images_per_second,train_loss,train_kl,val_loss
1,50,0.001,1000,190,10,150
2,40,0.001,1250,150,20,
3,34.3,0.001,1500,140.125,24,131
"""


def png(width=8, height=6):
    content = BytesIO()
    Image.fromarray(np.arange(width * height, dtype=np.uint8).reshape(height, width)).save(content, "png")
    return content.getvalue()


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "a run"
    (path / "figures").mkdir(parents=True)
    (path / "params.json").write_text(json.dumps(PARAMS))
    (path / "metrics.json").write_text(json.dumps(METRICS))
    (path / "history.csv").write_text(HISTORY)
    for name, content in {"scatter": png(), "my_own": png(7), "curves": png(40, 9)}.items():
        (path / "figures" / f"{name}.png").write_bytes(content)
    return path


class Page(HTMLParser):
    """The tags with their attributes, and the text outside <style>."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.words, self.inside = [], [], ""
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside != "style":
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def test_figures_come_with_names_units_and_meanings(run):
    rows = {row["key"]: row for row in report.collect(run)["metrics"]}
    assert list(rows) == ["elbo_nats", "accuracy", "kl_nats", "psnr_db", "blur_nats"], "what is known comes first"
    elbo = rows["elbo_nats"]
    assert (elbo["name"], elbo["value"], elbo["unit"]) == (
        "Evidence lower bound (ELBO)",
        "\u2212102.38",
        "nats per image",
    )
    assert "Higher is better" in elbo["meaning"]
    assert (rows["accuracy"]["value"], rows["accuracy"]["spread"], rows["accuracy"]["unit"]) == ("93.5", "± 1.2", "%")
    assert (rows["blur_nats"]["name"], rows["blur_nats"]["unit"]) == ("Blur", "nats per image"), "told by the ending"
    assert [row["value"] for row in report.collect(run)["context"]] == ["test", "10,000"]


def test_training_is_summed_up(run):
    collected = report.collect(run)
    training = {row["name"]: row["value"] for row in collected["training"]}
    assert training["Epochs"] == "3"
    assert training["Training time"].startswith("2 min 4 s")
    assert training["Speed"].startswith("1,250 images per second")
    assert training["Best validation loss"] == "131.00 after epoch 3"
    loss, kl = collected["terms"]
    assert loss == {"name": "Loss", "unit": "nats per image", "train": "140.12", "validation": "131.00"}
    assert kl["validation"] == "", "an epoch without validation shows none"


def test_settings_are_flattened_and_all_there(run):
    settings = report.collect(run)["settings"]
    tables = {table["title"]: {row["name"]: row["value"] for row in table["rows"]} for table in settings}
    assert tables["Model"] == {
        "name": "vae",
        "latent_dim": "20",
        "network.encoder": "dense(512)",
        "network.decoder": "none",
    }
    assert tables["Training"]["lr"] == "0.001"
    assert (tables["Run"]["image_shape"], tables["Run"]["compile"]) == ("8 \u00d7 8", "no")
    assert tables["Versions"] == {"torch": "2.13.0"}


def test_pictures_travel_inside_the_page(run):
    page = Page(report.write(run).read_text("utf-8"))
    pictures = page.all("img")
    assert [picture["alt"].split(" of ")[0] for picture in pictures] == ["Training curves", "Codes", "My own"]
    inside = [base64.b64decode(picture["src"].removeprefix("data:image/png;base64,")) for picture in pictures]
    assert inside == [(run / "figures" / f"{name}.png").read_bytes() for name in ("curves", "scatter", "my_own")]
    assert (pictures[0]["width"], pictures[0]["height"]) == ("40", "9")
    assert "A validation curve that rises" in page.text, "a known picture says what good looks like"


def test_the_page_needs_no_network_and_no_script(run):
    html = report.write(run).read_text("utf-8")
    page = Page(html)
    links = [value for _, attrs in page.tags for name, value in attrs.items() if name in ("src", "href", "srcset")]
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not page.all("script")
    assert not re.search(r"url\(|@import", html)
    targets = {attrs.get("id") for _, attrs in page.tags}
    assert {link[1:] for link in links if link.startswith("#")} <= targets


def test_text_from_strangers_is_escaped(run):
    (run / "figures" / "<b>bold.png").write_bytes(png())
    html = report.write(run).read_text("utf-8")
    page = Page(html)
    assert EVIL not in html
    assert not page.all("b")
    assert EVIL in page.text, "it is shown as it is written"


def test_the_command_that_repeats_the_run_is_exact(run):
    page = Page(report.write(run).read_text("utf-8"))
    assert PARAMS["command"] in page.text
    (run / "params.json").write_text(json.dumps({key: value for key, value in PARAMS.items() if key != "command"}))
    assert "so there is no command" in Page(report.write(run).read_text("utf-8")).text


def test_a_bare_run_says_which_commands_fill_it(run):
    (run / "metrics.json").unlink()
    for picture in (run / "figures").iterdir():
        picture.unlink()
    page = Page(report.render(report.collect(run)))
    assert f"latently evaluate '{run}'" in page.text
    assert f"latently plot '{run}' curves" in page.text
    assert not page.all("img")


def test_headings_descend_and_tables_have_headers(run):
    page = Page(report.write(run).read_text("utf-8"))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(attrs.get("scope") in ("row", "col") for attrs in page.all("th"))


def test_writing_is_repeatable_and_leaves_nothing_else_behind(run):
    before = {path.name for path in run.iterdir()}
    pages = [report.write(run).read_bytes() for _ in range(2)]
    assert pages[0] == pages[1]
    assert {path.name for path in run.iterdir()} - before == {"report.html"}


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("params.json", None, "does not exist"),
        ("params.json", b"{", "not JSON"),
        ("params.json", b"[]", "not a JSON object"),
        ("params.json", b'{"format": 1}', "not written by latently"),
        ("params.json", b"\xff\xfe", "UTF-8"),
        ("metrics.json", b"[1]", "not a JSON object"),
        ("history.csv", None, "does not exist"),
        ("history.csv", b"", "no epoch"),
        ("history.csv", b"epoch,train_loss\n1\n", "line 2"),
        ("history.csv", b"epoch,train_loss\n1,much\n", "damaged"),
        ("history.csv", b"epoch,train_loss\n1," + b"9" * 200_000, "damaged"),
        ("figures/curves.png", b"not a picture", "not a complete PNG"),
        ("figures/curves.png", png()[:-20], "not a complete PNG"),
    ],
)
def test_a_missing_or_damaged_file_gets_a_sentence(run, file, content, words):
    (run / file).unlink()
    if content is not None:
        (run / file).write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        report.write(run)
    assert (run / file).name in str(caught.value)


def test_what_is_no_folder_gets_a_sentence(tmp_path):
    with pytest.raises(InputError, match="not a folder"):
        report.collect(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("settings", "title"),
    [
        ({"importance_samples": 20}, "importance-weighted VAE on "),
        ({"flow_steps": 4}, "VAE with a flow on "),
        ({}, "VAE on "),
        ({"name": "simclr"}, "SimCLR on "),
        ({"name": "vamp"}, "VAMP on "),
        ({"name": "classifier"}, "Classifier on "),
    ],
)
def test_a_model_is_called_by_its_name(run, settings, title):
    (run / "params.json").write_text(json.dumps(PARAMS | {"model": PARAMS["model"] | settings}))
    assert report.content.collect(run)["title"].startswith(title)


def test_what_a_denoiser_is_for_is_in_its_headlines(run):
    figures = {"mse": 0.01, "psnr_db": 20.0, "ssim": 0.9, "reconstruction_nats": 80.0}
    (run / "metrics.json").write_text(json.dumps(figures | {"denoised_psnr_db": 20.3, "noisy_psnr_db": 9.4}))
    shown = [row["key"] for row in report.content.collect(run)["headlines"]]
    assert shown[:2] == ["denoised_psnr_db", "noisy_psnr_db"]
