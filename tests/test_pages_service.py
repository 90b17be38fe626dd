"""The pages on the real service: a browser with a fake camera that shows a simulated clip."""

from __future__ import annotations

import re

import av
import numpy as np
import pytest

from fake_camera import axe_violations, browser, film_of
from served import serve, succeed
from service_model import SmallModel, small_model

__all__ = ["small_model"]

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pages_browser")]

# Shorter than what is asked of people, longer than what a pulse needs at least.
RECORDING_S = 10


@pytest.fixture(scope="module")
def service(small_model: SmallModel, tmp_path_factory):
    data = tmp_path_factory.mktemp("pages-service") / "data"
    key = succeed("keys", "add", "clinic", "--role", "measure", "--data", data).strip()
    with serve(data, "--model", small_model.model) as served:
        yield served, key


@pytest.fixture(scope="module")
def chromium(small_model: SmallModel, tmp_path_factory):
    film = film_of(small_model.clip, tmp_path_factory.mktemp("film") / "simulated.y4m")
    with browser(film) as running:
        yield running


@pytest.fixture
def page(chromium, service):
    """The measure page, signed in; complaints of the browser fail the test."""
    served, key = service
    context = chromium.new_context(
        base_url=served.url, permissions=["camera"], locale="en-US",
        viewport={"width": 390, "height": 844},
    )  # fmt: skip
    context.set_default_timeout(40_000)
    complaints = []
    page = context.new_page()
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto("/")
    assert page.url == f"{served.url}/sign-in"
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Measure").wait_for()
    page.complaints = complaints
    yield page
    context.close()
    assert complaints == []


def noise(path):
    """A video in which there is no face."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for _ in range(60):
            picture = rng.integers(0, 255, (120, 160, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    return path


def send(page, path):
    page.get_by_label("Video file").set_input_files(str(path))
    page.get_by_role("button", name="Send this video").click()


def test_record_estimate_download_delete(page, service):
    served, _ = service
    assert page.get_by_text("SIMULATED", exact=True).is_visible()
    page.get_by_label("Sex").select_option("female")
    page.get_by_label("Age in years").fill("34")
    page.get_by_role("button", name="Start camera").click()
    page.locator('[data-check="face"][data-state="good"]').wait_for()
    page.evaluate(f"document.querySelector('[data-take]').dataset.recordingS = '{RECORDING_S}'")
    page.get_by_role("button", name=re.compile("^Record")).click()
    page.wait_for_url("**/result/*")
    page.get_by_role("heading", name="Estimated hemoglobin").wait_for()
    text = page.locator("main").inner_text()
    assert "women from 15 years, not pregnant" in text
    assert re.search(r"90 % interval: .*g/dL|too little data for an interval", text)
    assert "small" in text
    assert page.get_by_text("SIMULATED", exact=True).is_visible()
    assert page.locator(".pulse-chart .wave").count() >= 1
    assert axe_violations(page) == []
    assert served.uploads() == [], "a recording is deleted as soon as it was processed"
    for name, needed in (("JSON", "hemoglobin_g_dl"), ("FHIR", "Observation")):
        with page.expect_download() as download:
            page.get_by_role("link", name=f"Download {name}").click()
        assert needed in download.value.path().read_text(encoding="utf-8")
    address = page.url
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete this result").click()
    page.get_by_role("heading", name="Measure").wait_for()
    page.goto(address)
    page.get_by_role("heading", name="There is no such result").wait_for()
    assert all("404" in line for line in page.complaints)
    page.complaints.clear()


def test_a_video_without_a_face_has_no_number_but_what_to_change(page, tmp_path):
    send(page, noise(tmp_path / "noise.mp4"))
    page.get_by_role("heading", name="No estimate from this video").wait_for()
    page.get_by_text("No face was found.").wait_for()
    assert page.locator(".value").count() == 0


def test_a_broken_video_fails_with_a_reason(page, small_model, tmp_path):
    content = small_model.clip.read_bytes()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(content[: len(content) // 8])
    send(page, broken)
    page.get_by_role("heading", name="The video could not be processed").wait_for()
    assert page.locator(".problem").first.inner_text() != ""


def test_what_is_no_video_is_refused_before_it_is_a_job(page, tmp_path):
    (tmp_path / "letter.mp4").write_text("Dear Sir or Madam")
    send(page, tmp_path / "letter.mp4")
    page.get_by_role("alert").get_by_text("not a video that this service reads").wait_for()
    assert all("415" in line for line in page.complaints)
    page.complaints.clear()


def test_a_wrong_key_and_signing_out(page, service):
    served, _ = service
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in").wait_for()
    assert axe_violations(page) == []
    page.get_by_label("Key").fill("not a key")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("This key is not known here.").wait_for()
    page.goto("/models")
    assert page.url == f"{served.url}/sign-in?next=%2Fmodels"
    assert all("401" in line for line in page.complaints)
    page.complaints.clear()
