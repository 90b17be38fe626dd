"""The pages of the study in a real browser: a day of a nurse, and every page for every reader."""

from __future__ import annotations

import io
import re
import zipfile

import av
import numpy as np
import pytest
from playwright.sync_api import expect

from fake_camera import axe_violations, browser, film_of
from pages_stand_in import StandIn, serving
from pallor.cohort.table import read_cohort
from pallor.service.pages import PageSettings
from pallor.service.settings import ServiceSettings
from pallor.service.store.engine import open_store
from pallor.service.study.study import Study
from served import serve, succeed
from study_filled import fill

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pages_browser")]

# Shorter than what is asked of people, longer than what a pulse needs at least.
RECORDING_S = 10
CHECKED_MS = 90_000
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1200, "height": 900}
PERSON = "/study/participants/K-001"
EVERY_PAGE = (
    "/study", "/study?missing=hemoglobin", "/study?search=zzz", "/study/new", "/study/export",
    PERSON, f"{PERSON}/details", f"{PERSON}/consent", f"{PERSON}/withdraw",
    f"{PERSON}/new-session", f"{PERSON}/sessions/1", f"{PERSON}/sessions/1/details",
    f"{PERSON}/sessions/1/delete", f"{PERSON}/sessions/1/blood", f"{PERSON}/sessions/1/blood/1",
    f"{PERSON}/sessions/1/blood/1/delete", f"{PERSON}/sessions/1/clips/1/delete",
    "/study/participants/K-002", "/study/participants/K-002/sessions/1",
    "/study/participants/K-003/sessions/1", "/study/participants/K-005/sessions/1",
    "/study/participants/nobody",
)  # fmt: skip


@pytest.fixture(scope="module")
def simulated_clip(tmp_path_factory):
    cohort = tmp_path_factory.mktemp("study-clip") / "cohort"
    succeed("simulate", cohort, "--preset", "easy", "--participants", 1, "--duration", RECORDING_S)
    return next(iter(sorted((cohort / "clips").glob("sim*.mp4"))))


@pytest.fixture(scope="module")
def chromium(simulated_clip, tmp_path_factory):
    film = film_of(simulated_clip, tmp_path_factory.mktemp("film") / "simulated.y4m")
    with browser(film) as running:
        yield running


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    data = tmp_path_factory.mktemp("study-pages") / "data"
    key = succeed("keys", "add", "nurse", "--role", "study", "--data", data).strip()
    with serve(data) as served:
        yield served, key


@pytest.fixture
def filled(tmp_path):
    """The pages over a study with people in every state; nothing checks their clips."""
    settings = ServiceSettings(data=tmp_path / "data")
    store = open_store(settings)
    study = Study.open(settings, store)
    fill(study)
    with serving(StandIn(study_kept=study), PageSettings()) as stand_in:
        yield stand_in
    store.close()


@pytest.fixture
def opened(chromium):
    """Open a window; what its console or the policy complains about fails the test.

    Asked for after what serves its pages, so that it is closed before: a page that is still being
    loaded would complain of a server that has gone.
    """
    contexts, complaints = [], []

    def hear(message):
        # The browser itself complains of a page that answers 404 or 422, and some do.
        if message.type == "error" and not re.search(r"status of 4\d\d", message.text):
            complaints.append(message.text)

    def go(address, size=PHONE, **options):
        context = chromium.new_context(
            viewport=size, base_url=address, permissions=["camera"],
            **{"locale": "en-US", **options},
        )  # fmt: skip
        contexts.append(context)
        context.set_default_timeout(30_000)
        page = context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield go
    for context in contexts:
        context.close()
    assert complaints == []


def sign_in(page, key):
    page.goto("/")
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Study").click()


def fine(page):
    """Nothing serious for axe, and nothing wider than the window."""
    assert axe_violations(page) == [], page.url
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def enter(page, code, button):
    page.get_by_role("link", name="New participant").click()
    page.get_by_label("The participant has understood the text and takes part").check()
    page.get_by_label("Videos of the face may be kept").check()
    page.get_by_label("Code").fill(code)
    page.get_by_label("Sex").select_option("female")
    page.get_by_label("Pregnancy").select_option("second trimester")
    page.get_by_label("Age in years").fill("34")
    fine(page)
    page.get_by_role("button", name=button, exact=True).click()


def noise(path, seed=0):
    """A video in which there is no face."""
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for _ in range(60):
            picture = rng.integers(0, 255, (120, 160, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    return path


def kept(served):
    return sorted(path.name for path in (served.data / "clips").iterdir())


def written(served):
    """All that the database has on disk."""
    return b"".join(path.read_bytes() for path in sorted(served.data.glob("pallor.db*")))


def test_a_day_of_a_nurse(opened, service, tmp_path):
    served, key = service
    page = opened(served.url)
    sign_in(page, key)
    page.get_by_text("Nobody takes part yet.").wait_for()

    # A new participant, and the session of today.
    enter(page, "K-001", "Save and start today’s session")
    page.get_by_role("heading", name="Session 1").wait_for()
    page.get_by_text("The participant and the consent are saved.").wait_for()
    fine(page)

    # Recording, and what came of it while the person still sits there.
    page.get_by_role("button", name="Start camera").click()
    page.locator('[data-check="face"][data-state="good"]').wait_for()
    camera = page.get_by_label("Camera", exact=True)
    assert camera.input_value() != "", "prefilled with the name of the camera"
    camera.fill("phone of ward 3")
    page.get_by_label("This is a simulated video").check()
    page.evaluate(f"document.querySelector('[data-take]').dataset.recordingS = '{RECORDING_S}'")
    page.get_by_role("button", name=re.compile("^Record")).click()
    page.get_by_role("button", name="Stop recording").wait_for()
    fine(page)
    expect(page.locator('[data-kind="usable"]')).to_be_focused(timeout=CHECKED_MS)
    expect(page.get_by_text("SIMULATED", exact=True).first).to_be_visible()
    expect(page.locator("#clips")).to_contain_text("phone of ward 3")
    expect(page.locator("[data-said]")).to_have_text("Usable SIMULATED")
    expect(page.get_by_role("button", name="Start camera")).to_be_visible()
    fine(page)
    assert len(kept(served)) == 1
    assert served.uploads() == []

    # The blood value comes later: two clicks from the list.
    page.get_by_role("link", name="Study", exact=True).first.click()
    page.get_by_role("link", name="Enter blood value").click()
    page.get_by_label("Hemoglobin").fill("128")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Hemoglobin").wait_for()
    expect(page.locator(".problem:focus")).to_be_visible()
    page.get_by_text("This one looks like g/L: check the unit.").first.wait_for()
    fine(page)
    page.get_by_role("link", name="Hemoglobin").click()
    expect(page.locator("#value")).to_be_focused()
    page.get_by_label("Unit").select_option("g/L")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("12.8 g/dL", exact=True).wait_for()
    page.locator("#blood").get_by_role("link", name="Change").click()
    page.get_by_label("Hemoglobin").fill("129")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("12.9 g/dL", exact=True).wait_for()
    page.get_by_role("link", name="Study", exact=True).first.click()
    page.get_by_role("link", name="New participant").wait_for()
    assert page.get_by_role("link", name="Enter blood value").count() == 0

    # Another session, with a file that cannot be used.
    page.get_by_role("link", name="K-001").click()
    page.get_by_role("button", name="Start the session").click()
    page.get_by_role("heading", name="Session 2").wait_for()
    expect(page.get_by_label("Camera", exact=True)).to_have_value("phone of ward 3")
    page.get_by_label("Video file").set_input_files(str(noise(tmp_path / "noise.mp4")))
    page.get_by_role("button", name="Send this video").click()
    page.locator('[data-kind="unusable"]').wait_for(timeout=CHECKED_MS)
    page.get_by_text("What to change:").wait_for()
    page.get_by_text("No face was found.").wait_for()
    fine(page)
    # The very same file a second time is refused, in words.
    page.get_by_label("Video file").set_input_files(str(tmp_path / "noise.mp4"))
    page.get_by_role("button", name="Send this video").click()
    page.get_by_role("alert").get_by_text("This very video is in the study already").wait_for()

    # What the study holds, as a cohort.
    page.goto("/study/export")
    fine(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the export").click()
    with zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())) as archive:
        archive.extractall(tmp_path / "export")
    cohort = read_cohort(tmp_path / "export" / "cohort.csv")
    assert len(cohort.frame) == 2
    assert set(cohort.frame["participant_id"]) == {"K-001"}
    first = cohort.frame[cohort.frame["session"] == "1"].iloc[0]
    assert first["hemoglobin_g_dl"] == pytest.approx(12.9)
    assert first["camera"] == "phone of ward 3"
    assert first["pregnancy"] == "second trimester"

    # Withdrawal leaves nothing, neither on disk nor on a page.
    page.goto(PERSON)
    page.get_by_role("link", name="Withdraw the participant").click()
    page.get_by_label("Code of the participant").wait_for()
    fine(page)
    page.get_by_role("button", name="Delete everything for good").click()
    page.get_by_text("This is not the code of the participant.").first.wait_for()
    page.get_by_label("Code of the participant").fill("K-001")
    page.get_by_role("button", name="Delete everything for good").click()
    page.get_by_text("Everything of this participant is deleted.").wait_for()
    assert "K-001" not in page.content()
    assert kept(served) == []
    assert served.uploads() == []
    assert b"phone of ward 3" not in written(served)
    assert b"K-001" not in written(served)
    page.goto(f"{PERSON}/sessions/1")
    page.get_by_role("heading", name="There is no such page").wait_for()


def test_a_check_that_ends_does_not_interrupt_the_next_recording(opened, service, tmp_path):
    served, key = service
    page = opened(served.url)
    sign_in(page, key)
    enter(page, "K-2", "Save and start today’s session")
    page.get_by_label("Video file").set_input_files(str(noise(tmp_path / "noise.mp4", seed=1)))
    page.get_by_role("button", name="Send this video").click()
    page.get_by_role("button", name="Start camera").click()
    page.evaluate("document.querySelector('[data-take]').dataset.recordingS = '60'")
    page.get_by_role("button", name=re.compile("^Record")).click()
    page.locator('[data-kind="unusable"]').wait_for(timeout=CHECKED_MS)
    page.wait_for_timeout(500)
    expect(page.locator("[data-take]")).to_have_attribute("data-step", "recording")
    expect(page.locator('[data-part="cancel"]')).to_be_focused()
    page.get_by_role("button", name="Stop recording").click()
    page.get_by_role("button", name=re.compile("^Record")).wait_for()
    assert len(kept(served)) == 1
    page.get_by_role("link", name="Delete this video").click()
    page.get_by_role("button", name="Delete this video").wait_for()
    fine(page)
    page.get_by_role("button", name="Delete this video").click()
    page.get_by_text("The video is deleted.").wait_for()
    assert kept(served) == []


def test_a_key_that_is_revoked_loses_no_video(opened, service, tmp_path):
    served, _ = service
    key, other = (
        succeed("keys", "add", name, "--role", "study", "--data", served.data).strip()
        for name in ("early", "late")
    )
    page = opened(served.url)
    sign_in(page, key)
    enter(page, "K-3", "Save and start today’s session")
    page.get_by_role("heading", name="Session 1").wait_for()
    page.get_by_label("Video file").set_input_files(str(noise(tmp_path / "noise.mp4", seed=3)))
    succeed("keys", "revoke", "early", "--data", served.data)
    page.get_by_role("button", name="Send this video").click()
    page.get_by_role("alert").get_by_text("Your session has ended").wait_for()
    fine(page)
    with page.expect_popup() as window:
        page.get_by_role("link", name="Sign in (in a new window)").click()
    window.value.get_by_label("Key").fill(other)
    window.value.get_by_role("button", name="Sign in").click()
    window.value.get_by_role("link", name="Study").wait_for()
    page.get_by_role("button", name="Send the video again").click()
    page.locator('[data-kind="unusable"]').wait_for(timeout=CHECKED_MS)
    assert not page.get_by_role("button", name="Send the video again").is_visible()
    page.get_by_role("link", name="Delete this video").click()
    page.get_by_role("button", name="Delete this video").click()
    page.get_by_text("The video is deleted.").wait_for()


def test_without_scripts_everything_but_recording_works(opened, service, simulated_clip):
    served, key = service
    page = opened(served.url, java_script_enabled=False)
    sign_in(page, key)
    page.get_by_role("link", name="New participant").click()
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Only who agrees can take part.").first.wait_for()
    page.get_by_label("The participant has understood the text and takes part").check()
    page.get_by_label("Videos of the face may be kept").check()
    page.get_by_label("Code").fill("N-1")
    page.get_by_role("button", name="Save and start today’s session").click()
    page.get_by_role("heading", name="Session 1").wait_for()
    page.get_by_role("button", name="Start camera").wait_for(state="hidden")
    assert page.locator("noscript p").is_visible()
    page.get_by_label("Camera", exact=True).fill("camera of the ward")
    page.get_by_label("Video file").set_input_files(str(simulated_clip))
    page.get_by_role("button", name="Send this video").click()
    page.get_by_text("The video is saved and is being checked.").wait_for()
    # The page looks again by itself.
    page.locator('[data-kind]:not([data-kind="waiting"])').wait_for(timeout=CHECKED_MS)
    assert page.locator("#clips .verdict").inner_text() == "Usable SIMULATED"
    assert page.get_by_text("SIMULATED", exact=True).first.is_visible(), "the clip says so itself"
    page.get_by_role("link", name="Enter blood value").click()
    page.get_by_label("Hemoglobin").fill("8,1")
    page.get_by_label("Unit").select_option("mmol/L")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("13.1 g/dL", exact=True).wait_for()
    page.get_by_role("link", name="N-1").first.click()
    page.get_by_role("link", name="Withdraw the participant").click()
    page.get_by_label("Code of the participant").fill("N-1")
    page.get_by_role("button", name="Delete everything for good").click()
    page.get_by_text("Everything of this participant is deleted.").wait_for()
    assert kept(served) == []


@pytest.mark.parametrize("language", ["en", "tr"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_window(
    filled, opened, size, language, scheme
):
    page = opened(filled.address, size, color_scheme=scheme)
    for path in EVERY_PAGE:
        page.goto(f"{path}{'&' if '?' in path else '?'}lang={language}")
        fine(page)
    page.goto(f"/study/new?lang={language}")
    page.locator("button.main").click()
    page.locator(".problem").wait_for()
    fine(page)


def test_words_without_a_space_do_not_widen_a_page(filled, opened):
    page = opened(filled.address)
    page.goto("/study/new")
    page.locator("#takes_part").check()
    page.locator("#code").fill("C" * 64)
    page.locator("#note").fill("n" * 900)
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_label("Site").fill("s" * 200)
    page.get_by_label("Name of the session").fill("S" * 64)
    fine(page)
    page.get_by_role("button", name="Start the session").click()
    page.get_by_role("heading", name="Session S").wait_for()
    fine(page)
    page.goto("/study?search=cccc")
    fine(page)


def test_pregnancy_is_asked_of_women_only(filled, opened):
    page = opened(filled.address)
    page.goto("/study/new")
    assert not page.get_by_label("Pregnancy").is_visible()
    page.get_by_label("Sex").select_option("female")
    page.get_by_label("Pregnancy").select_option("no")
    page.get_by_label("Sex").select_option("male")
    assert not page.get_by_label("Pregnancy").is_visible()
    assert page.locator("#pregnancy").input_value() == ""
    # What another program entered is not lost by opening a form.
    page.goto("/study/participants/K-006/details")
    page.get_by_label("Sex").select_option("")
    assert page.get_by_label("Pregnancy").input_value() == "first trimester"


def test_a_check_that_failed_is_asked_for_again(filled, opened):
    page = opened(filled.address)
    page.goto("/study/participants/K-002/sessions/1")
    page.get_by_role("button", name="Check this video again").click()
    page.get_by_text("The video is being checked again.").wait_for()
    assert page.locator('[data-kind="waiting"]').count() == 1
    assert page.get_by_role("button", name="Check this video again").count() == 0


def test_a_second_tap_saves_nothing_twice(filled, opened):
    page = opened(filled.address)
    page.goto("/study/participants/K-004/new-session")
    sent = page.evaluate(
        """() => {
          const form = document.querySelector("form.entry");
          let sent = 0;
          form.addEventListener("submit", (event) => {
            if (!event.defaultPrevented) sent += 1;
            event.preventDefault();
          });
          for (let tap = 0; tap < 3; tap += 1) form.querySelector("button.main").click();
          return sent;
        }"""
    )
    assert sent == 1


def test_a_session_that_ends_during_a_check_ends_no_recording(filled, opened):
    page = opened(filled.address)
    asked = "**/v1/participants/*/sessions/*/clips/*"
    page.route(asked, lambda route: route.fulfill(json={"state": "running", "share": 0.5}))
    page.goto("/study/participants/K-002/sessions/1")
    page.get_by_role("button", name="Check this video again").click()
    page.locator('[data-kind="waiting"]').wait_for()
    page.evaluate("document.querySelector('[data-take]').dataset.recordingS = '60'")
    page.get_by_role("button", name="Start camera").click()
    page.get_by_role("button", name=re.compile("^Record")).click()
    filled.session = None
    page.unroute(asked)
    with page.expect_response(lambda answer: "/clips/" in answer.url and answer.status == 401):
        pass
    page.wait_for_timeout(1000)
    expect(page.locator("[data-take]")).to_have_attribute("data-step", "recording")
    page.get_by_role("button", name="Stop recording").click()
    page.wait_for_url("**/sign-in*")


def test_a_site_is_remembered_until_somebody_else_signs_in(filled, opened):
    page = opened(filled.address)
    page.goto("/study/participants/K-004/new-session")
    page.get_by_label("Site").fill("Ward 3")
    page.get_by_role("button", name="Start the session").click()
    page.get_by_role("heading", name="Session 1").wait_for()
    page.goto("/study/participants/K-003/new-session")
    expect(page.get_by_label("Site")).to_have_value("Ward 3")
    # So is the unit of the laboratory, for new values alone.
    page.goto("/study/participants/K-004/sessions/1/blood")
    page.get_by_label("Hemoglobin").fill("121")
    page.get_by_label("Unit").select_option("g/L")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("12.1 g/dL", exact=True).wait_for()
    page.get_by_role("link", name="Who still lacks a blood value").click()
    page.get_by_role("link", name="Enter blood value : K-001").click()
    expect(page.get_by_label("Unit")).to_have_value("g/L")
    page.goto("/study/participants/K-003/sessions/1")
    page.locator("#blood").get_by_role("link", name="Change").click()
    page.get_by_label("Hemoglobin").wait_for()
    # The scripts have run by then, and did not touch it.
    page.wait_for_load_state()
    expect(page.get_by_label("Unit")).to_have_value("g/dL")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(filled.address + "/")
    assert page.evaluate("sessionStorage.length") == 0


def test_a_new_participant_with_the_keyboard_alone(filled, opened):
    page = opened(filled.address)
    page.goto("/study/new")
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        here = page.evaluate(
            "() => document.activeElement.id || document.activeElement.textContent.trim()"
        )
        reached.append(here)
        if here in {"takes_part", "keeps_video"}:
            page.keyboard.press("Space")
        if here == "code":
            page.keyboard.type("K-100")
        if here.startswith("Save and start"):
            break
    assert reached[-9:] == [
        "takes_part", "keeps_video", "code", "sex", "age_years", "altitude_m", "smoking", "note",
        "Save and start today’s session",
    ]  # fmt: skip
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Session 1").wait_for()
