"""The model card: every figure and setting, no path of the author's machine, nothing of a stranger's text as HTML."""

import json

import pytest
from test_report import EVIL, HISTORY, METRICS, PARAMS

from latently.report import card


@pytest.fixture
def run(tmp_path):
    (tmp_path / "params.json").write_text(json.dumps(PARAMS | {"data": PARAMS["data"] | {"source": "/home/me/birds"}}))
    (tmp_path / "history.csv").write_text(HISTORY)
    return tmp_path


def test_a_card_tells_data_figures_limits_and_settings(run):
    (run / "metrics.json").write_text(json.dumps(METRICS | {"accuracy_std": None}))
    text = card.write(run).read_text()
    assert text.startswith("---\nlibrary_name: latently\n")
    for part in ("## Data", "birds: 1,437 for training", "102.38 | nats per image", "dense(512)", "## Limits"):
        assert part in text, f"the card lacks {part!r}"
    assert "/home/me" not in text, "the card names a folder of its author's machine"
    assert "a run" not in text, "the card names a folder of its author's machine"
    assert "<script" not in text.replace("\\<script", ""), "a name is HTML"


def test_a_run_without_figures_and_copies_in_its_test_are_limits():
    params = {"data": {"n_test_in_training": 12}, "image_shape": [8, 8]}
    limits = " ".join(card.limits(params, {}))
    for sentence in ("No figure was measured", "12 test images", "8 x 8"):
        assert sentence in limits


def test_a_cell_stays_a_cell():
    assert card.plain(f"a|b\n{EVIL}").count("\\|") == 1
    assert "\n" not in card.plain("a\nb")
    assert "\\<script>" in card.plain(EVIL)
