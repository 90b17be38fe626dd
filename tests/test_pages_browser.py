"""The pages in a real browser whose camera shows the portrait."""

from __future__ import annotations

import io
import json
import re

import av
import pytest
from playwright.sync_api import expect

from fake_camera import axe_violations, browser, write_film
from pages_stand_in import CARD, GOOD_HINT, StandIn, done, failed, serving, unusable, usable
from pallor.service.pages import PageSettings

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pages_browser")]

RECORDING_S = 3.0
MISSING = "/result/none"
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1200, "height": 900}
WOMAN = {"sex": "female", "age_years": 34}
EVERY_KIND = {
    "usable": done(usable(), **WOMAN),
    "no_person": done(usable()),
    "simulated": done(usable(simulated=True, model_card={**CARD, "simulated": True}), **WOMAN),
    "unusable": done(unusable("no_pulse", "several_faces")),
    "failed": failed("time_limit"),
}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    film = write_film(tmp_path_factory.mktemp("film") / "face.y4m")
    with browser(film) as running:
        yield running


@pytest.fixture(scope="module")
def served():
    settings = PageSettings(recording_s=RECORDING_S)
    with serving(StandIn(), settings) as stand_in:
        yield stand_in


@pytest.fixture
def service(served):
    """The stand-in as new."""
    new = StandIn()
    for name, value in vars(new).items():
        if name != "address":
            setattr(served, name, value)
    return served


@pytest.fixture
def opened(chromium, service):
    """Open a path; whatever the page's console or the policy complains about fails the test."""
    contexts = []
    complaints = []

    def hear(message):
        # The browser itself complains of a page that answers 404, and that one does.
        if message.type == "error" and MISSING not in message.location["url"]:
            complaints.append(message.text)

    def go(path="/", size=DESKTOP, **options):
        context = chromium.new_context(
            viewport=size, base_url=service.address, permissions=["camera"],
            **{"locale": "en-US", **options},
        )  # fmt: skip
        contexts.append(context)
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        return page

    go.complaints = complaints
    yield go
    for context in contexts:
        context.close()
    assert complaints == []


def start_camera(page):
    page.get_by_role("button", name="Start camera").click()
    page.get_by_role("button", name=re.compile("^Record")).wait_for()


def record(page):
    start_camera(page)
    page.get_by_role("button", name=re.compile("^Record")).click()


def stop_recording(page):
    # The second tap of two is not taken for it.
    page.wait_for_timeout(600)
    page.get_by_role("button", name="Stop recording").click()


def choose(page, content=b"x", name="face.mp4"):
    clip = {"name": name, "mimeType": "video/mp4", "buffer": content}
    page.get_by_label("Video file").set_input_files(clip)


def send_file(page, content=b"x"):
    choose(page, content)
    page.get_by_role("button", name="Send this video").click()


def excuse(opened, *words):
    """The browser itself writes a refused or broken request to the console."""
    assert [line for line in opened.complaints if not any(word in line for word in words)] == []
    opened.complaints.clear()


def again(page):
    return page.get_by_role("button", name="Send the video again")


def step(page, name):
    expect(page.locator("[data-take]")).to_have_attribute("data-step", name)


def test_record_upload_result(opened, service):
    page = opened()
    page.get_by_label("Sex").select_option("female")
    page.get_by_label("Pregnancy").select_option("second trimester")
    page.get_by_label("Age in years").fill("34")
    page.get_by_label("Smoking").select_option("10-19")
    record(page)
    page.get_by_role("button", name="Stop recording").wait_for()
    page.wait_for_url("**/result/*")
    page.get_by_text("Reading the video").wait_for()
    assert page.get_by_role("progressbar").is_visible()
    page.get_by_role("heading", name="Estimated hemoglobin").wait_for()
    assert "12.3" in page.locator(".value").first.inner_text()
    # The second trimester and 10 to 19 cigarettes: 10.5 + 0.5 g/dL.
    assert page.locator(".bound-value", has_text="11.0").count() == 1
    (fields, name, clip), = service.uploads  # fmt: skip
    assert fields == {
        "sex": "female", "pregnancy": "second trimester", "age_years": "34", "smoking": "10-19",
    }  # fmt: skip
    assert name == "recording.webm"
    assert service.tokens == {"the-token"}
    with av.open(io.BytesIO(clip)) as container:
        # As the issue says of recordings of a browser: no duration, timestamps decide.
        assert container.duration is None
        times = [frame.time for frame in container.decode(video=0)]
    assert times[-1] - times[0] == pytest.approx(RECORDING_S, abs=0.7)
    assert len(times) > 15 * RECORDING_S


def test_recording_asks_for_many_bits_and_holds_the_camera_still(opened):
    page = opened()
    asked = page.evaluate(
        """async () => {
          const { record } = await import("/static/js/recorder.js");
          const asked = [];
          const real = window.MediaRecorder;
          window.MediaRecorder = class extends real {
            constructor(stream, options) { super(stream, options); asked.push(options); }
          };
          const stream = document.createElement("canvas").captureStream(30);
          const { clip, stop } = record(stream, { seconds: 1,
            bitsPerSecond: Number(document.querySelector("[data-take]").dataset.bitsPerSecond),
            tick() {} });
          stop();
          return [asked, await clip];
        }"""
    )
    assert asked[0][0]["videoBitsPerSecond"] >= 8_000_000
    assert asked[1] is None, "a recording that was stopped is no clip"
    locked = page.evaluate(
        """async () => {
          const { lockCamera } = await import("/static/js/camera.js");
          const applied = [];
          const track = {
            getCapabilities: () => ({ exposureMode: ["continuous", "manual"], exposureTime: {},
              whiteBalanceMode: ["continuous", "manual"], colorTemperature: {},
              focusMode: ["continuous"] }),
            getSettings: () => ({ exposureTime: 80, colorTemperature: 4600, focusDistance: 1 }),
            applyConstraints: async ({ advanced }) => {
              if (advanced[0].whiteBalanceMode && applied.refuse) throw new Error("no");
              applied.push(...advanced);
            },
          };
          const first = await lockCamera(track);
          applied.refuse = true;
          return { first, applied: [...applied], second: await lockCamera(track),
            none: await lockCamera({ getSettings: () => ({}) }) };
        }"""
    )
    assert locked["applied"] == [
        {"exposureMode": "manual", "exposureTime": 80},
        {"whiteBalanceMode": "manual", "colorTemperature": 4600},
    ]
    assert locked["first"] == ["exposureMode", "whiteBalanceMode"]
    assert locked["second"] == ["exposureMode"]
    assert locked["none"] == []


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({}, "Good. Keep still."),
        ({"face": False, "faces": 0, "distance": None, "light": None}, "No face is seen."),
        ({"faces": 2}, "More than one face"),
        ({"distance": "too_far"}, "Too far away."),
        ({"distance": "too_near"}, "Too near."),
        ({"light": "too_dark"}, "Too dark."),
        ({"light": "too_bright"}, "Too bright."),
        ({"light": "uneven"}, "The light comes from one side."),
        ({"centered": False}, "Move your face into the oval."),
        ({"moving": True}, "Too much motion."),
    ],
)
def test_live_hints(opened, service, seen, said):
    service.hint = {**GOOD_HINT, **seen}
    page = opened()
    start_camera(page)
    hint = page.locator('[data-part="hint"]')
    hint.get_by_text(said).wait_for()
    assert hint.get_attribute("aria-live") == "polite"


def test_frames_for_hints_are_small_and_go_on_while_recording(opened, service):
    page = opened()
    start_camera(page)
    page.get_by_text("Good. Keep still.").wait_for()
    page.locator('[data-check="fps"] b', has_text=re.compile(r"\d+ per second")).wait_for()
    before = len(service.frames)
    page.get_by_role("button", name=re.compile("^Record")).click()
    page.wait_for_url("**/result/*")
    assert len(service.frames) >= before + 3
    assert len({stream for stream, _ in service.frames}) == 1
    for _, content in service.frames:
        assert content[:2] == b"\xff\xd8"
        assert len(content) <= 200_000
    with av.open(io.BytesIO(service.frames[0][1])) as picture:
        assert picture.streams.video[0].width <= 320


def test_a_file_is_chosen(opened, service):
    page = opened()
    page.get_by_role("button", name="Send this video").click()
    page.get_by_text("Choose a video first.").wait_for()
    clip = {"name": "face.mp4", "mimeType": "video/mp4", "buffer": b"not read by the stand-in"}
    page.get_by_label("Video file").set_input_files(clip)
    page.get_by_label("Sex").select_option("male")
    page.get_by_label("Age in years").fill("40.5")
    page.get_by_role("button", name="Send this video").click()
    page.get_by_role("heading", name="Estimated hemoglobin").wait_for()
    assert service.uploads == [
        ({"sex": "male", "age_years": "40.5"}, "face.mp4", b"not read by the stand-in")
    ]
    assert "men from 15 years" in page.locator("main").inner_text()


def test_details_that_cannot_be_are_not_sent_and_the_clip_is_kept(opened, service):
    page = opened()
    page.get_by_label("Age in years").fill("340")
    record(page)
    page.get_by_text("Something about the person cannot be right.").wait_for()
    assert service.uploads == []
    page.get_by_label("Age in years").fill("34")
    page.get_by_role("button", name="Send the video again").click()
    page.wait_for_url("**/result/*")
    assert len(service.uploads) == 1


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (422, "invalid", "age_years: no such age"),
        (503, "busy", "The service is busy."),
        (408, "too_slow", "Sending took too long."),
        (429, "too_many_requests", "Too many videos in a short time."),
    ],
)
def test_a_refused_upload_says_why_and_can_be_repeated(opened, service, status, code, said):
    service.refusal = (status, code, "age_years: no such age")
    page = opened()
    send_file(page)
    page.get_by_role("alert").get_by_text(said).wait_for()
    service.refusal = None
    again(page).click()
    page.wait_for_url("**/result/*")
    excuse(opened, str(status))


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (415, "wrong_type", "not a video that this service reads"),
        (413, "too_large", "larger than this service takes"),
        (409, "conflict", "This very video is in the study already"),
    ],
)
def test_what_another_attempt_cannot_cure_is_not_offered_again(opened, service, status, code, said):
    service.refusal = (status, code, "no")
    page = opened()
    send_file(page)
    page.get_by_role("alert").get_by_text(said).wait_for()
    assert not again(page).is_visible()
    service.refusal = None
    send_file(page, b"another")
    page.wait_for_url("**/result/*")
    assert [content for _, _, content in service.uploads] == [b"another"]
    excuse(opened, str(status))


def test_another_file_or_recording_takes_the_place_of_the_one_that_was_kept(opened, service):
    service.refusal = (503, "busy", "later")
    page = opened()
    send_file(page, b"first")
    again(page).wait_for()
    choose(page, b"second")
    expect(again(page)).to_be_hidden()
    page.get_by_role("button", name="Send this video").click()
    again(page).wait_for()
    record(page)
    expect(again(page)).to_be_hidden()
    again(page).wait_for()
    service.refusal = None
    again(page).click()
    page.wait_for_url("**/result/*")
    assert [name for _, name, _ in service.uploads] == ["recording.webm"]
    excuse(opened, "503")


def test_no_file_is_sent_while_a_recording_runs(opened, service):
    page = opened()
    choose(page)
    page.evaluate("document.querySelector('[data-take]').dataset.recordingS = '6'")
    record(page)
    step(page, "recording")
    assert page.locator("section.file").evaluate("section => section.inert")
    assert not page.locator("section.details").evaluate("section => section.inert")
    page.evaluate("document.querySelector('form').requestSubmit()")
    step(page, "recording")
    page.wait_for_url("**/result/*")
    assert [name for _, name, _ in service.uploads] == ["recording.webm"]


def test_a_session_that_ended_loses_no_clip(opened, service):
    page = opened("/?lang=en")
    record(page)
    service.session = None
    page.get_by_role("alert").get_by_text("Your session has ended").wait_for()
    assert axe_violations(page) == []
    door = page.get_by_role("link", name="Sign in (in a new window)")
    assert door.get_attribute("href") == "/sign-in?lang=en"
    with page.expect_popup() as window:
        door.click()
    window.value.get_by_label("Key").wait_for()
    assert window.value.evaluate("window.opener") is None
    service.session = "another"
    again(page).click()
    page.wait_for_url("**/result/*")
    assert [name for _, name, _ in service.uploads] == ["recording.webm"]
    excuse(opened, "401", "403")


def test_a_session_that_ended_is_told_in_turkish(opened, service):
    page = opened("/?lang=tr")
    service.session = None
    choose_file = page.locator("input[type=file]")
    choose_file.set_input_files({"name": "a.mp4", "mimeType": "video/mp4", "buffer": b"x"})
    page.get_by_role("button", name="Bu videoyu gönder").click()
    page.get_by_role("alert").get_by_text("Oturumunuz sona erdi").wait_for()
    door = page.get_by_role("link", name="Oturum aç (yeni pencerede)")
    assert door.get_attribute("href") == "/sign-in?lang=tr"
    excuse(opened, "401")


def test_who_signed_in_anew_in_another_window_goes_on(opened, service):
    page = opened()
    start_camera(page)
    page.get_by_text("Good. Keep still.").wait_for()
    service.session = "another"
    seen = len(service.frames)
    for _ in range(100):
        if len(service.frames) > seen + 1:
            break
        page.wait_for_timeout(100)
    assert len(service.frames) > seen + 1, "hints take the token of the new session"
    page.get_by_role("button", name=re.compile("^Record")).click()
    page.wait_for_url("**/result/*")
    assert len(service.uploads) == 1
    excuse(opened, "403")


COUNT_CAMERAS = """() => {
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  window.tracks = [];
  const gate = new Promise((done) => { window.openGate = done; });
  navigator.mediaDevices.getUserMedia = async (asked) => {
    await gate;
    const stream = await open(asked);
    window.tracks.push(...stream.getTracks());
    return stream;
  };
}"""
LIVE = "window.tracks.filter(({ readyState }) => readyState === 'live').length"


def test_a_camera_that_is_started_twice_is_opened_once(opened):
    page = opened()
    page.evaluate(COUNT_CAMERAS)
    button = page.get_by_role("button", name="Start camera")
    button.click()
    button.click()
    page.evaluate("window.openGate()")
    page.get_by_role("button", name=re.compile("^Record")).wait_for()
    page.wait_for_function("() => window.tracks.length === 2")
    page.wait_for_function(f"() => {LIVE} === 1")
    assert page.locator("video").evaluate("video => video.srcObject.active")


def test_a_camera_that_opens_after_a_file_was_sent_is_closed(opened, service):
    service.refusal = (415, "wrong_type", "no")
    page = opened()
    page.evaluate(COUNT_CAMERAS)
    page.get_by_role("button", name="Start camera").click()
    send_file(page)
    page.get_by_role("alert").get_by_text("not a video").wait_for()
    page.evaluate("window.openGate()")
    page.wait_for_function("() => window.tracks.length === 1")
    page.wait_for_function(f"() => {LIVE} === 0")
    step(page, "off")
    excuse(opened, "415")


def test_a_double_click_on_record_records_and_one_on_stop_stops(opened, service):
    page = opened()
    page.evaluate("document.querySelector('[data-take]').dataset.recordingS = '60'")
    start_camera(page)
    box = page.get_by_role("button", name=re.compile("^Record")).bounding_box()
    middle = (box["x"] + 20, box["y"] + box["height"] / 2)
    page.mouse.dblclick(*middle)
    page.wait_for_timeout(600)
    step(page, "recording")
    page.mouse.dblclick(*middle)
    page.wait_for_timeout(600)
    step(page, "ready")
    assert service.uploads == []


def test_stop_works_while_the_camera_is_still_being_held(opened, service):
    page = opened()
    page.evaluate(
        """() => {
          const { prototype } = MediaStreamTrack;
          prototype.getCapabilities = () => ({ exposureMode: ["manual"] });
          prototype.applyConstraints = () => new Promise(() => {});
        }"""
    )
    record(page)
    stop_recording(page)
    step(page, "ready")
    assert service.uploads == []


def test_a_recording_that_ends_with_its_camera_is_no_clip(opened):
    page = opened()
    clip = page.evaluate(
        """async () => {
          const { record } = await import("/static/js/recorder.js");
          const stream = await navigator.mediaDevices.getUserMedia({ video: true });
          const { clip } = record(stream, { seconds: 60, bitsPerSecond: 8e6, tick() {} });
          setTimeout(() => stream.getTracks().forEach((track) => track.stop()), 1500);
          return clip;
        }"""
    )
    assert clip is None


def test_leaving_asks_where_a_clip_would_be_lost(opened, service):
    service.refusal = (503, "busy", "later")
    page = opened()
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    start_camera(page)
    page.reload()
    assert asked == [], "nothing is lost yet"
    record(page)
    step(page, "recording")
    page.reload()
    assert asked == ["beforeunload"]
    record(page)
    again(page).wait_for()
    page.get_by_role("link", name="Models").click()
    page.get_by_role("heading", name="Models").wait_for()
    assert asked == ["beforeunload"] * 2
    service.refusal = None
    page.goto("/")
    record(page)
    page.wait_for_url("**/result/*")
    assert asked == ["beforeunload"] * 2
    excuse(opened, "503")


def test_enter_in_a_field_sends_nothing(opened, service):
    page = opened()
    page.get_by_label("Age in years").fill("34")
    page.keyboard.press("Enter")
    choose(page)
    page.get_by_label("Age in years").press("Enter")
    page.wait_for_timeout(500)
    assert page.locator('[data-part="problem"]').text_content() == ""
    assert service.uploads == []
    step(page, "off")


def test_a_picture_that_stands_still_is_not_called_good(opened, service):
    page = opened()
    page.evaluate(
        """() => {
          const { prototype } = HTMLVideoElement;
          const real = prototype.requestVideoFrameCallback;
          prototype.requestVideoFrameCallback = function (call) {
            return real.call(this, (...said) => window.frozen || call(...said));
          };
        }"""
    )
    start_camera(page)
    page.get_by_text("Good. Keep still.").wait_for()
    page.evaluate("window.frozen = true")
    page.get_by_text("The picture stands still.").wait_for()
    expect(page.locator('[data-check="fps"] b')).to_have_text("0 per second")
    expect(page.locator('[data-check="fps"]')).to_have_attribute("data-state", "bad")
    expect(page.locator('[data-check="face"]')).to_have_attribute("data-state", "unknown")
    expect(page.locator("[data-take]")).to_have_attribute("data-hint", "bad")


TWO_CAMERAS = """() => {
  const { mediaDevices } = navigator;
  const open = mediaDevices.getUserMedia.bind(mediaDevices);
  let used = "front";
  window.asked = [];
  mediaDevices.enumerateDevices = async () => [
    { kind: "audioinput", deviceId: "ear" }, { kind: "videoinput", deviceId: "front" },
    { kind: "videoinput", deviceId: "back" },
  ];
  mediaDevices.getUserMedia = async ({ audio, video: { deviceId, facingMode, ...video } }) => {
    window.asked.push(deviceId?.exact ?? facingMode);
    if (deviceId && window.unplugged) throw new DOMException("", "OverconstrainedError");
    used = deviceId?.exact ?? "front";
    const stream = await open({ audio, video });
    const [track] = stream.getVideoTracks();
    const facing = used === "back" ? "environment" : "user";
    track.getSettings = () => ({ deviceId: used, facingMode: facing });
    return stream;
  };
}"""


def test_the_camera_at_the_back_can_be_chosen(opened):
    page = opened()
    assert page.get_by_role("button", name="Other camera").count() == 0
    page.evaluate(TWO_CAMERAS)
    start_camera(page)
    video = page.locator("video")
    mirrored = "matrix(-1, 0, 0, 1, 0, 0)"
    assert video.evaluate("element => getComputedStyle(element).transform") == mirrored
    page.get_by_role("button", name="Other camera").click()
    page.locator('[data-facing="environment"]').wait_for()
    expect(page.locator('[data-part="other"]')).to_be_focused()
    assert video.evaluate("element => getComputedStyle(element).transform") == "none"
    assert page.evaluate("window.asked") == ["user", "back"]
    assert axe_violations(page) == []
    page.get_by_role("button", name=re.compile("^Record")).click()
    stop_recording(page)
    page.get_by_role("button", name="Other camera").click()
    page.locator('[data-facing="user"]').wait_for()
    # It stays chosen from page to page, unless it is no longer there.
    page.reload()
    page.evaluate(TWO_CAMERAS)
    page.evaluate("window.unplugged = true")
    start_camera(page)
    assert page.evaluate("window.asked") == ["front", "user"]


def test_one_camera_offers_no_other(opened):
    page = opened()
    start_camera(page)
    assert not page.get_by_role("button", name="Other camera").is_visible()


def test_a_stopped_recording_sends_nothing(opened, service):
    page = opened()
    record(page)
    stop_recording(page)
    page.get_by_role("button", name=re.compile("^Record")).wait_for()
    page.wait_for_timeout(1000 * RECORDING_S)
    assert service.uploads == []
    assert page.url == service.address + "/"


def test_without_a_camera_the_page_says_what_to_do(opened, service):
    page = opened()
    page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = async () => {"
        " throw new DOMException('', 'NotAllowedError'); }; }"
    )
    page.get_by_role("button", name="Start camera").click()
    page.get_by_text("The camera was not allowed.").wait_for()
    page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = async () => {"
        " throw new DOMException('', 'NotFoundError'); }; }"
    )
    page.get_by_role("button", name="Start camera").click()
    page.get_by_text("No camera could be opened.").wait_for()


def test_an_unusable_clip_has_no_number_but_what_to_change(opened, service):
    service.next = done(unusable("no_pulse"))
    page = opened()
    record(page)
    page.get_by_role("heading", name="No estimate from this video").wait_for()
    text = page.locator("main").inner_text()
    assert "No pulse stands out of the noise." in text
    assert "g/dL" not in text.split("Model and its evaluation")[0]
    assert page.locator(".interval-chart").count() == 0


def test_a_failed_job_says_why(opened, service):
    service.next = failed("crashed")
    page = opened()
    record(page)
    page.get_by_role("heading", name="The video could not be processed").wait_for()
    page.get_by_text("broke down twice").wait_for()
    assert page.locator(".value").count() == 0


def test_results_are_downloaded_printed_and_deleted(opened, service):
    path = service.keep(EVERY_KIND["usable"])
    page = opened(path)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download JSON").click()
    stored = json.loads(download.value.path().read_text(encoding="utf-8"))
    assert stored["result"]["hemoglobin_g_dl"] == 12.34
    with page.expect_download() as download:
        page.get_by_role("link", name="Download FHIR").click()
    assert "Observation" in download.value.path().read_text(encoding="utf-8")
    page.evaluate("() => { window.print = () => { document.title = 'printed'; }; }")
    page.get_by_role("button", name="Print").click()
    assert page.title() == "printed"
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete this result").click()
    page.wait_for_url(service.address + "/")
    assert service.jobs == {}


def test_signing_out(opened, service):
    page = opened("/models")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(service.address + "/")
    assert service.signed_out == 1
    assert service.tokens == {"the-token"}


def test_signing_out_of_a_session_that_is_newer_than_the_page(opened, service):
    page = opened("/models")
    service.session = "another"
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(service.address + "/")
    assert service.signed_out == 1


def test_signing_out_waits_for_its_script(opened):
    page = opened("/models", java_script_enabled=False)
    assert page.get_by_role("button", name="Sign out").is_disabled()


def test_signing_out_that_does_not_work_is_told(opened, service):
    page = opened("/models")
    page.context.set_offline(True)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("alert").get_by_text("you are still signed in").wait_for()
    assert axe_violations(page) == []
    assert service.signed_out == 0
    assert page.url == service.address + "/models"
    page.context.set_offline(False)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(service.address + "/")
    assert service.signed_out == 1
    excuse(opened, "ERR_INTERNET_DISCONNECTED")


def test_who_has_been_signed_out_already_is_led_on(opened, service):
    page = opened("/models")
    service.session = None
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    excuse(opened, "401")


def test_deleting_that_does_not_work_is_told(opened, service):
    page = opened(service.keep(EVERY_KIND["usable"]))
    page.on("dialog", lambda dialog: dialog.accept())
    button = page.get_by_role("button", name="Delete this result")
    page.context.set_offline(True)
    button.click()
    page.get_by_role("alert").get_by_text("could not be deleted").wait_for()
    page.context.set_offline(False)
    assert len(service.jobs) == 1
    service.session = None
    button.click()
    page.wait_for_url("**/sign-in")
    assert len(service.jobs) == 1
    excuse(opened, "ERR_INTERNET_DISCONNECTED", "401")


def test_a_wait_for_a_result_ends_with_the_session(opened, service):
    service.working_s = 60.0
    page = opened()
    send_file(page)
    page.get_by_text("Waiting: 2 before this one").wait_for()
    service.session = None
    page.wait_for_url("**/sign-in")
    excuse(opened, "401")


def test_a_result_that_is_deleted_meanwhile_is_missed(opened, service):
    service.working_s = 60.0
    page = opened()
    page.get_by_label("Video file").set_input_files(
        {"name": "face.mp4", "mimeType": "video/mp4", "buffer": b"x"}
    )
    page.get_by_role("button", name="Send this video").click()
    page.get_by_text("Waiting: 2 before this one").wait_for()
    service.jobs.clear()
    page.get_by_role("heading", name="There is no such result").wait_for()
    assert all("404" in line for line in opened.complaints)
    opened.complaints.clear()


def focused(page):
    return page.evaluate(
        "() => document.activeElement.id || document.activeElement.textContent.trim()"
    )


def test_keyboard_only(opened, service):
    page = opened()
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(focused(page))
        if reached[-1] == "Start camera":
            break
        if reached[-1] == "sex":
            page.keyboard.type("f")
    assert reached == [
        "Skip to content", "pallor", "Measure", "Models", "Türkçe", "Sign out", "sex", "age_years",
        "pregnancy", "altitude_m", "smoking", "Start camera",
    ]  # fmt: skip
    page.keyboard.press("Enter")
    page.get_by_role("button", name=re.compile("^Record")).wait_for()
    expect(page.locator(":focus")).to_have_text(re.compile("^Record"))
    page.keyboard.press("Enter")
    expect(page.locator(":focus")).to_have_text(re.compile("^Stop"))
    page.wait_for_url("**/result/*")
    page.get_by_role("heading", name="Estimated hemoglobin").wait_for()
    assert service.uploads[0][0] == {"sex": "female"}


def test_time_left_is_spoken_now_and_then(opened, service):
    page = opened()
    page.evaluate(
        """() => {
          window.spoken = [];
          const live = document.querySelector('[data-part="spoken"]');
          new MutationObserver(() => window.spoken.push(live.textContent))
            .observe(live, { childList: true, characterData: true, subtree: true });
          document.querySelector("[data-take]").dataset.recordingS = "11";
        }"""
    )
    record(page)
    page.get_by_text("5 seconds left").wait_for()
    assert page.evaluate("window.spoken") == ["10 seconds left", "5 seconds left"]
    page.get_by_role("button", name="Stop recording").click()


def test_turkish_stays_chosen_from_page_to_page(opened, service):
    page = opened()
    page.get_by_role("link", name="Türkçe").click()
    page.get_by_role("heading", name="Ölçüm").wait_for()
    page.get_by_role("button", name="Kamerayı aç").click()
    page.get_by_role("button", name="3 saniye kaydet").click()
    page.wait_for_url("**/result/*?lang=tr")
    page.get_by_role("heading", name="Tahmini hemoglobin").wait_for()
    text = page.locator("body").inner_text()
    assert "12,3" in text
    assert "Aralık (%90): 10,9 – 13,8 g/dL" in text
    assert "Tıbbi cihaz değildir" in text
    page.get_by_role("link", name="Modeller").click()
    page.get_by_role("heading", name="Modeller").wait_for()
    assert page.locator("html").get_attribute("lang") == "tr"


def test_the_language_of_the_browser_is_taken(opened):
    page = opened(locale="tr-TR")
    assert page.get_by_role("heading", name="Ölçüm").is_visible()


def every_page(service):
    pages = {"measure": "/", "models": "/models", "sign_in": "/sign-in", "missing": MISSING}
    return pages | {name: service.keep(job) for name, job in EVERY_KIND.items()}


@pytest.mark.parametrize("language", ["en", "tr"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_window(
    opened, service, size, language, scheme
):
    page = opened("/models", size, color_scheme=scheme)
    for name, path in every_page(service).items():
        page.goto(f"{path}?lang={language}")
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], name
        assert axe_violations(page) == [], name


def test_axe_finds_nothing_serious_while_the_camera_runs_and_records(opened, service):
    page = opened("/", PHONE)
    service.hint = {**GOOD_HINT, "light": "uneven"}
    start_camera(page)
    page.get_by_text("The light comes from one side.").wait_for()
    assert axe_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name=re.compile("^Record")).click()
    page.get_by_role("button", name="Stop recording").wait_for()
    assert axe_violations(page) == []


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_notice_is_always_in_sight(opened, service, size):
    page = opened("/models", size)
    for name, path in every_page(service).items():
        page.goto(path)
        for end in (0, 1_000_000):
            page.evaluate(f"scrollTo(0, {end})")
            box = page.get_by_text("Research use only. Not a medical device.", exact=True)
            found = box.bounding_box()
            assert found is not None, name
            assert 0 <= found["y"] < 60, name


def test_names_without_a_space_do_not_widen_the_page(opened, service):
    service.cards = [{**CARD, "name": "m" * 300, "notes": ["n" * 300]}]
    page = opened("/models", PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
