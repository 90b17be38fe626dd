"""The pages of the study as HTML text, on the application as it is served."""

from __future__ import annotations

import html
import re
from urllib.parse import parse_qsl, urlsplit

import pytest
from starlette.testclient import TestClient

from pallor.service.app import create_app
from pallor.service.pages.language import languages, texts
from pallor.service.pages.study.routes import PAGES
from pallor.service.refusals import UnknownError
from pallor.service.security.rate_limits import Rate, Rates
from pallor.service.settings import ServiceSettings
from pallor.service.store.engine import open_store
from pallor.service.store.keys import KeyStore
from pallor.service.study import participants
from report_cases import Page
from study_filled import (
    USABLE,
    WHO,
    add_clip,
    add_person,
    add_session,
    add_value,
    fill,
    unusable,
)

EN, TR = texts("en"), texts("tr")
PERSON = "/study/participants/K-001"
SESSION = f"{PERSON}/sessions/1"
EVERY_GET = (
    "/study", "/study?missing=hemoglobin", "/study?search=zzz", "/study/new", "/study/export",
    PERSON, f"{PERSON}/details", f"{PERSON}/consent", f"{PERSON}/withdraw",
    f"{PERSON}/new-session", SESSION, f"{SESSION}/details", f"{SESSION}/delete",
    f"{SESSION}/blood", f"{SESSION}/blood/1", f"{SESSION}/blood/1/delete",
    f"{SESSION}/clips/1/delete", "/study/participants/nobody",
)  # fmt: skip
LOOSE = Rate(1e6, 10**6)


class Signed:
    """A browser without scripts that signed in with a key."""

    def __init__(self, app, secret):
        self.client = TestClient(app, follow_redirects=False)
        if secret is not None:
            answer = self.client.post("/sign-in", data={"key": secret})
            assert answer.status_code == 303, answer.text

    def get(self, path, language="en"):
        return self.client.get(path, headers={"Accept-Language": language})

    def token(self):
        found = re.search(r'data-csrf="([^"]*)"', self.get("/study").text)
        return html.unescape(found[1]) if found else None

    def post(self, path, language="en", /, **fields):
        token = self.token()
        data = {**({"csrf": token} if token else {}), **fields}
        return self.client.post(path, data=data, headers={"Accept-Language": language})


@pytest.fixture
def service(tmp_path):
    """Keys, the application, and its study; no worker runs, so nothing in it changes by itself."""
    settings = ServiceSettings(data=tmp_path / "data")
    store = open_store(settings)
    keys = {role: KeyStore(store).add(role, role) for role in ("study", "measure", "admin")}
    store.close()
    app = create_app(settings, Rates(general=LOOSE, estimates=LOOSE))
    yield app, keys
    app.state.services.store.close()


@pytest.fixture
def study(service):
    return service[0].state.services.study


@pytest.fixture
def nurse(service):
    app, keys = service
    return Signed(app, keys["study"])


def first_value(page, name):
    """The value of a field of a form."""
    found = re.search(rf'<input[^>]* name="{name}"[^>]* value="([^"]*)"', page)
    assert found, name
    return html.unescape(found[1])


def consented(nurse):
    page = nurse.get("/study/new").text
    return {
        "version": first_value(page, "version"), "language": first_value(page, "language"),
        "takes_part": "yes", "keeps_video": "yes",
    }  # fmt: skip


@pytest.mark.parametrize("language", languages())
def test_pages_are_well_formed_and_hold_nothing_inline(nurse, study, language):
    fill(study)
    for path in EVERY_GET:
        page = nurse.get(path, language).text
        assert Page(page).unbalanced == [], path
        assert " style=" not in page
        assert not re.search(r"\son\w+=", page)
        assert not re.search(r"<script(?![^>]*\ssrc=)", page)
        assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//""", page)
        assert f'<html lang="{language}">' in page
        assert texts(language)("notice.short") in page
        assert len(re.findall(r"<h1[ >]", page)) == 1, path
        names = re.findall(r'\sid="([^"]+)"', page)
        assert len(names) == len(set(names)), path


def test_every_page_was_opened(nurse, study):
    fill(study)
    opened = {re.sub(r"\?.*", "", path) for path in EVERY_GET}
    opened |= {f"{PERSON}/blood", f"{SESSION}/clips", f"{SESSION}/clips/1/check"}
    for path in PAGES:
        shown = re.sub(r"\{\w+\}", "1", path.replace("{code}", "K-001"))
        assert shown in opened, path
        assert nurse.get(shown).status_code in {200, 303}, path


def test_personal_fields_are_never_completed_by_the_browser(nurse, study):
    fill(study)
    for path in EVERY_GET:
        page = nurse.get(path).text.split("<main")[1]
        for field in re.findall(r"<(?:input|select|textarea)[^>]*>", page):
            hidden = 'type="hidden"' in field or 'type="file"' in field
            assert hidden or 'autocomplete="off"' in field, (path, field)


def test_a_participant_is_entered_with_consent_and_the_session_of_today(nurse, study):
    sent = {"code": "P.7", "sex": "female", "age_years": "34,5", **consented(nurse)}
    answer = nurse.post("/study/new", **sent, then="session")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/study/participants/P.7/sessions/1?saved=participant"
    found = participants.get(study, "P.7", WHO)
    assert (found.sex, found.age_years, found.smoking) == ("female", 34.5, None)
    assert found.consent.keeps_video
    assert found.consent.version == sent["version"]
    assert found.sessions[0].date == first_value(
        nurse.get("/study/participants/P.7/new-session").text, "date"
    )
    assert EN("study.saved.participant") in nurse.get(answer.headers["location"]).text


def test_without_a_first_session_the_participant_is_shown(nurse):
    answer = nurse.post("/study/new", code="P7", **consented(nurse))
    assert answer.headers["location"] == "/study/participants/P7?saved=participant"
    page = nurse.get("/study/participants/P7").text
    assert EN("study.no_session") in page
    assert first_value(page, "name") == "1"


def test_the_language_that_was_chosen_stays_after_a_form(nurse):
    answer = nurse.post("/study/new?lang=tr", code="P7", **consented(nurse))
    assert answer.headers["location"] == "/study/participants/P7?saved=participant&lang=tr"


@pytest.mark.parametrize("language", languages())
def test_problems_stand_beside_their_fields_and_values_are_kept(nurse, language):
    t = texts(language)
    text = consented(nurse)
    sent = {
        "code": "P 7", "age_years": "340", "altitude_m": "high", "note": "a <b> & c",
        "smoking": "no", "version": text["version"], "language": text["language"],
    }  # fmt: skip
    answer = nurse.post("/study/new", language, **sent)
    assert answer.status_code == 422
    page = answer.text
    for name, words in (
        ("takes_part", t("study.problem.agree")),
        ("code", t("study.problem.code_characters")),
        ("age_years", t("study.problem.range", low=0, high=120)),
        ("altitude_m", t("study.problem.altitude_m_not_a_number")),
    ):
        words = html.escape(words, quote=False)
        assert f'<p class="field-problem" id="{name}-problem">{words}</p>' in page, name
        field = re.search(rf'<input id="{name}"[^>]*>', page)[0]
        assert 'aria-invalid="true"' in field
        assert re.search(rf'aria-describedby="{name}-problem( {name}-hint)?"', field)
        assert f'<a href="#{name}">' in page
    order = re.findall(r'<li><a href="#(\w+)">', page)
    assert order == ["takes_part", "code", "age_years", "altitude_m"]
    assert first_value(page, "code") == "P 7"
    assert first_value(page, "age_years") == "340"
    assert "a &lt;b&gt; &amp; c</textarea>" in page
    assert '<option value="no" selected>' in page
    assert "autofocus" in page
    assert page.split("<title>")[1].startswith(t("study.problem_title"))


def test_a_code_that_is_taken(nurse, study):
    add_person(study, "K-001")
    answer = nurse.post("/study/new", code="k-001", **consented(nurse))
    assert answer.status_code == 422
    assert EN("study.problem.taken") in answer.text
    assert ticked(answer.text) == ["takes_part", "keeps_video"]


def ticked(page):
    return [
        re.search(r'name="(\w+)"', box)[1]
        for box in re.findall(r'<input[^>]*type="checkbox"[^>]*>', page) if " checked" in box
    ]  # fmt: skip


@pytest.mark.parametrize("language", languages())
def test_a_text_that_changed_while_the_form_was_open_is_read_again(tmp_path, language):
    t = texts(language)
    data, old, new = tmp_path / "data", tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
        (folder / f"{language}.txt").write_text(f"The {folder.name} text.", encoding="utf-8")

    def started(texts_of_study):
        app = create_app(ServiceSettings(data=data, consent=texts_of_study), Rates(general=LOOSE))
        client = TestClient(app, base_url="http://127.0.0.1:8000", follow_redirects=False)
        client.headers["Accept-Language"] = language
        return app.state.services, client

    services, client = started(old)
    # Somebody agreed to the old text, so that a form on paper would still be taken.
    sent = {"takes_part": "yes", "keeps_video": "yes", "language": language}
    sent["version"] = first_value(client.get("/study/new").text, "version")
    assert client.post("/study/new", data={"code": "K-001", **sent}).status_code == 303
    services.store.close()
    services, client = started(new)
    for path, more in (
        ("/study/new", {"code": "P7", "note": "calm"}),
        ("/study/new", {"code": "P 7", "note": "calm"}),
        (f"{PERSON}/consent", {}),
    ):
        answer = client.post(path, data={**sent, **more})
        assert answer.status_code == 422
        page = answer.text
        assert f'id="version-problem">{t("study.problem.unknown_version")}</p>' in page
        assert re.search(r'<div class="consent" id="version"[^>]*aria-describedby', page)
        assert '<a href="#version">' in page
        assert "The new text." in page
        assert "The old text." not in page
        assert first_value(page, "version") != sent["version"]
        assert ticked(page) == []
        if more:
            assert first_value(page, "code") == more["code"]
            assert "calm</textarea>" in page
    assert client.get("/study/participants/P7").status_code == 404
    sent["version"] = first_value(page, "version")
    assert client.post("/study/new", data={"code": "P7", **sent}).status_code == 303
    assert participants.get(services.study, "P7", WHO).consent.version == sent["version"]
    services.store.close()


def test_ticks_are_not_kept_for_a_text_in_another_language(nurse):
    answer = nurse.post("/study/new", "tr", code="P 7", **consented(nurse))
    assert answer.status_code == 422
    assert ticked(answer.text) == []


def test_details_are_changed_and_an_emptied_field_is_not_known(nurse, study):
    fill(study)
    page = nurse.get("/study/participants/K-002/details").text
    assert first_value(page, "age_years") == "51.5"
    assert '<option value="10-19" selected>' in page
    answer = nurse.post(
        "/study/participants/K-002/details", code="K-2", sex="male", age_years="52", note=""
    )
    assert answer.headers["location"] == "/study/participants/K-2?saved=changed"
    found = participants.get(study, "K-2", WHO)
    assert (found.age_years, found.note, found.smoking) == (52, None, None)


def test_a_word_that_no_list_has_is_kept(nurse, study):
    add_person(study, "K-001", smoking="12/day")
    assert '<option value="12/day" selected>' in nurse.get(f"{PERSON}/details").text
    assert "12/day" in nurse.get(PERSON).text


def test_a_session_is_entered_changed_and_deleted(nurse, study):
    fill(study)
    page = nurse.get(PERSON).text
    assert (first_value(page, "name"), first_value(page, "site")) == ("3", "Ankara")
    answer = nurse.post(f"{PERSON}/new-session", name="3", date="2026-04-01", site="Bolu")
    assert answer.headers["location"] == f"{PERSON}/sessions/3?saved=session"
    again = nurse.post(f"{PERSON}/new-session", name="3", date="3000-01-01")
    assert again.status_code == 422
    assert EN("study.problem.future") in again.text
    again = nurse.post(f"{PERSON}/new-session", name="3")
    assert EN("study.problem.name_taken") in again.text
    answer = nurse.post(f"{PERSON}/sessions/3/details", name="last", site="Bolu")
    assert answer.headers["location"] == f"{PERSON}/sessions/last?saved=session_changed"
    assert "Bolu" in nurse.get(f"{PERSON}/sessions/last").text
    answer = nurse.post(f"{PERSON}/sessions/last/delete")
    assert answer.headers["location"] == f"{PERSON}?saved=session_deleted"
    assert nurse.get(f"{PERSON}/sessions/last").status_code == 404


def test_a_blood_value_takes_two_clicks_from_the_list_and_is_said_in_g_dl(nurse, study):
    fill(study)
    (link,) = re.findall(r'href="(/study/participants/K-001/blood)"', nurse.get("/study").text)
    form = nurse.get(link).headers["location"]
    assert form == f"{PERSON}/sessions/2/blood"
    page = nurse.get(form).text
    assert first_value(page, "measured_on") == "2026-03-09", "of the day of the session"
    sent = {"value": "128", "unit": "g/L", "method": "venous_cbc", "measured_on": "2026-03-10"}
    answer = nurse.post(form, **sent)
    assert answer.headers["location"] == f"{PERSON}/sessions/2?saved=blood#blood"
    page = nurse.get(answer.headers["location"]).text
    assert "<b>12.8 g/dL</b> (entered as 128 g/L)" in page
    assert f"{PERSON}/blood" not in nurse.get("/study").text


def test_a_value_in_the_wrong_unit_is_told_which_it_looks_like(nurse, study):
    fill(study)
    answer = nurse.post(
        f"{SESSION}/blood", "tr", value="128", unit="g/dL", method="venous_cbc",
        measured_on="1800-01-01",
    )  # fmt: skip
    assert answer.status_code == 422
    words = TR("study.problem.value_range", unit="g/dL", low=3, high=25, looks_like="g/L")
    assert words in answer.text
    assert TR("study.problem.measured_on_range", low="01.01.1900") in answer.text
    answer = nurse.post(f"{SESSION}/blood", value="9000", unit="g/dL", method="venous_cbc")
    assert EN("study.problem.range", low=3, high=25) in answer.text
    for language, t, high in (("en", EN, "12.41"), ("tr", TR, "12,41")):
        answer = nurse.post(
            f"{SESSION}/blood", language, value="12.8", unit="mmol/L", method="venous_cbc"
        )
        assert answer.status_code == 422
        words = t("study.problem.check_unit", high=high, unit="mmol/L", g_dl=20, looks_like="g/dL")
        assert words in answer.text


def test_a_blood_value_is_changed_and_deleted(nurse, study):
    add_person(study, "K-001")
    add_session(study, "K-001")
    number = add_value(study, "K-001", value=8.2, unit="mmol/L")
    page = nurse.get(f"{SESSION}/blood/{number}").text
    assert first_value(page, "value") == "8.2"
    assert '<option value="mmol/L" selected>' in page
    answer = nurse.post(
        f"{SESSION}/blood/{number}", value="12,9", unit="g/dL", method="capillary_poc"
    )
    assert answer.headers["location"] == f"{SESSION}?saved=blood_changed#blood"
    assert "<b>12.9 g/dL</b>" in nurse.get(SESSION).text
    assert "<b>12,9 g/dL</b>" in nurse.get(SESSION, "tr").text
    answer = nurse.post(f"{SESSION}/blood/{number}/delete")
    assert answer.headers["location"] == f"{SESSION}?saved=blood_deleted#blood"
    assert EN("study.blood_later") in nurse.get(SESSION).text


def test_a_session_says_what_has_become_of_its_clips(nurse, study):
    add_person(study, "K-001")
    add_session(study, "K-001")
    add_clip(study, "K-001", check=unusable("no_pulse", "never_heard_of", text="own words"))
    add_clip(study, "K-001", check=USABLE)
    add_clip(study, "K-001", check=("crashed", "it broke"))
    waiting = add_clip(study, "K-001")
    page = nurse.get(SESSION).text
    kinds = re.findall(r'data-kind="(\w+)"', page)
    assert kinds == ["waiting", "failed", "usable", "unusable"], "the latest first"
    assert EN("advice.no_pulse") in page
    assert "own words" in page
    assert EN("failed.crashed") in page
    assert "30 s · 30 frames per second · pulse 72 per minute" in page
    assert f'data-clip="{waiting}"' in page
    assert '<noscript><meta http-equiv="refresh"' in page
    assert "SIMULATED" not in page
    # What is not known of a clip can be asked again; what is known is known.
    actions = re.findall(r'action="([^"]*/check)"', page)
    assert actions == [f"{SESSION}/clips/{waiting - 1}/check"]
    answer = nurse.post(actions[0])
    assert answer.headers["location"] == f"{SESSION}?saved=clip_check#clips"
    page = nurse.get(answer.headers["location"]).text
    assert EN("study.saved.clip_check") in page
    kinds = re.findall(r'data-kind="(\w+)"', page)
    assert kinds == ["waiting", "waiting", "usable", "unusable"]
    nothing = nurse.post(f"{SESSION}/clips/999/check")
    assert nothing.status_code == 404
    answer = nurse.post(f"{SESSION}/clips/{waiting - 1}/delete")
    answer = nurse.post(f"{SESSION}/clips/{waiting}/delete")
    assert answer.headers["location"] == f"{SESSION}?saved=clip_deleted#clips"
    assert 'http-equiv="refresh"' not in nurse.get(SESSION).text


def test_simulated_clips_are_stamped_wherever_they_count(nurse, study):
    add_person(study, "K-001")
    add_session(study, "K-001")
    paths = ("/study", PERSON, SESSION, "/study/export")
    for path in paths:
        assert "SIMULATED" not in nurse.get(path).text
    add_clip(study, "K-001", check=USABLE, simulated=True)
    for path in paths:
        assert "SIMULATED" in nurse.get(path).text, path
        assert TR("simulated.word") in nurse.get(path, "tr").text


def test_without_consent_to_videos_no_camera_is_offered(nurse, study):
    fill(study)
    page = nurse.get("/study/participants/K-003/sessions/1").text
    assert "data-take" not in page
    assert EN("study.video_may_not") in page


def test_consent_is_renewed_but_not_to_less_than_what_is_there(nurse, study):
    fill(study)
    given = {name: value for name, value in consented(nurse).items() if name != "keeps_video"}
    answer = nurse.post(f"{PERSON}/consent", "tr", **given)
    assert answer.status_code == 409
    assert TR("study.clips_first") in answer.text
    answer = nurse.post("/study/participants/K-003/consent", **given, keeps_video="yes")
    assert answer.headers["location"] == "/study/participants/K-003?saved=consent"
    assert participants.get(study, "K-003", WHO).consent.keeps_video


def test_withdrawal_needs_the_code_and_leaves_nothing(nurse, study):
    fill(study)
    page = nurse.get(f"{PERSON}/withdraw").text
    counts = re.findall(r"<dd>(\w[\w ]*)</dd>", page)
    assert counts == ["2", "3", "1", EN("study.everything")]
    assert EN("study.withdraw_exports") in page
    for wrong in ("", "K-002", "k-001"):
        answer = nurse.post(f"{PERSON}/withdraw", confirm=wrong)
        assert answer.status_code == 422
        assert EN("study.problem.not_the_code") in answer.text
    files = len(list(study.clips.folder.iterdir()))
    answer = nurse.post(f"{PERSON}/withdraw", confirm=" K-001 ")
    assert answer.headers["location"] == "/study?saved=withdrawn"
    assert len(list(study.clips.folder.iterdir())) == files - 3
    assert "K-001" not in nurse.get("/study").text
    assert "K-001" not in nurse.get("/study/export").text
    for path in (PERSON, SESSION, f"{SESSION}/blood/1", f"{PERSON}/withdraw"):
        answer = nurse.get(path)
        assert answer.status_code == 404
        assert EN("study.refused.unknown") in answer.text


def test_the_list_searches_filters_and_pages(nurse, study):
    fill(study)
    for number in range(60):
        add_person(study, f"X-{number:03d}")
    page = nurse.get("/study").text
    assert EN("study.page", page=1, pages=2) in page
    assert "X-059" not in page
    assert "X-059" in nurse.get("/study?page=2").text
    assert re.search(r'rel="next" href="/study\?page=2"', page)
    found = re.findall(r'class="code"[^>]*>([^<]+)<', nurse.get("/study?search=k-00").text)
    assert found == ["K-001", "K-002", "K-003", "K-004", "K-005", "K-006"]
    found = re.findall(
        r'class="code"[^>]*>([^<]+)<', nurse.get("/study?missing=hemoglobin&search=K").text
    )
    assert found == ["K-001", "K-002", "K-005"]
    answer = nurse.get("/study?search=%3Cscript%3E&missing=x&page=-3")
    assert answer.status_code == 200
    assert "<script>" not in answer.text
    assert EN("study.nobody_found") in answer.text
    answer = nurse.get("/study?page=999&search=x-&lang=en")
    assert answer.headers["location"] == "/study?search=x-&page=2&lang=en"
    assert nurse.get("/study?page=999999999999").status_code == 200


def test_the_export_says_what_it_lacks(nurse, study):
    fill(study)
    page = nurse.get("/study/export").text
    assert EN("study.of", count=3, all=6) in page
    assert 'href="/v1/study/export.zip"' in page
    assert re.search(
        rf"{EN('study.export_no_clip')}: 3</h3>\s*<p class=\"codes\">K-003, K-004, K-006", page
    )
    assert re.search(rf"{EN('study.export_no_consent')}: 1</h3>\s*<p class=\"codes\">K-003<", page)
    assert "pallor extract study/cohort.csv -o features" in page


def test_no_page_shows_another_participant(nurse, study):
    fill(study)
    for path in EVERY_GET:
        if path.startswith(PERSON):
            page = nurse.get(path).text
            assert not re.search(r"K-00[2-5]", page), path
            assert "Mondays" not in page


def test_a_value_or_clip_of_another_participant_is_not_there(nurse, study):
    add_person(study, "K-001")
    add_session(study, "K-001")
    number, clip = add_value(study, "K-001"), add_clip(study, "K-001", check=USABLE)
    add_person(study, "K-002")
    add_session(study, "K-002")
    other = "/study/participants/K-002/sessions/1"
    for path in (f"{other}/blood/{number}", f"{other}/clips/{clip}/delete"):
        assert nurse.get(path).status_code == 404
        fields = {"value": "9", "unit": "g/dL", "method": "venous_cbc"}
        assert nurse.post(path, **fields).status_code == 404
    for path in (f"{SESSION}/blood/99999999999999", f"{SESSION}/clips/0/delete"):
        assert nurse.get(path).status_code == 404
    assert len(participants.get(study, "K-001", WHO).sessions[0].hemoglobin) == 1


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 11, "0", "-1", "x", "\u0661", "%00"])
def test_a_number_that_is_none_is_not_there(nurse, study, number):
    fill(study)
    for path in ("blood/{}", "blood/{}/delete", "clips/{}/check", "clips/{}/delete"):
        address = f"{SESSION}/{path.format(number)}"
        # To have a clip checked is no page of its own: a browser that asks for it is moved.
        assert nurse.get(address).status_code == (303 if path.endswith("check") else 404)
        answer = nurse.post(address)
        assert answer.status_code == 404, path
        assert EN("study.refused.unknown") in answer.text


HOSTILE = "<script>alert(1)</script>'\"&"


def test_what_people_wrote_is_escaped(nurse, study):
    add_person(study, "K-001", note=HOSTILE)
    add_session(study, "K-001", site=HOSTILE)
    add_clip(study, "K-001", check=unusable("new_code", text=HOSTILE), camera=HOSTILE)
    add_clip(study, "K-001", check=("new_code", HOSTILE), camera=HOSTILE)
    for path in (PERSON, f"{PERSON}/details", SESSION, f"{SESSION}/details"):
        page = nurse.get(path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page, path
    answer = nurse.post("/study/new", code=HOSTILE, sex=HOSTILE, smoking=HOSTILE, note=HOSTILE,
                        version=HOSTILE)  # fmt: skip
    assert answer.status_code == 422
    assert "<script>alert" not in answer.text
    assert html.unescape(first_value(answer.text, "code")) == HOSTILE


@pytest.mark.parametrize("path", [path for path, page in PAGES.items() if page.save])
@pytest.mark.parametrize("token", [None, "", "not it", "ş"])
def test_a_form_without_the_token_changes_nothing(nurse, study, path, token):
    fill(study)
    before = participants.get(study, "K-001", WHO)
    path = re.sub(r"\{\w+\}", "1", path.replace("{code}", "K-001"))
    everything = {
        "code": "K-001", "name": "9", "value": "9", "unit": "g/dL", "method": "venous_cbc",
        "confirm": "K-001", **consented(nurse),
    }  # fmt: skip
    data = everything if token is None else {**everything, "csrf": token}
    answer = nurse.client.post(path, data=data)
    assert answer.status_code == 403
    assert EN("study.earlier_sign_in") in answer.text
    assert participants.get(study, "K-001", WHO) == before


def test_a_form_of_another_site_is_refused_at_the_door(nurse, study):
    fill(study)
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = nurse.client.post(
            f"{PERSON}/withdraw", data={"csrf": nurse.token(), "confirm": "K-001"}, headers=headers
        )
        assert answer.status_code == 403
    assert nurse.get(PERSON).status_code == 200


def test_who_may_only_measure_sees_no_study(service, study):
    fill(study)
    app, keys = service
    other = Signed(app, keys["measure"])
    assert "/study" not in other.get("/").text
    for path in EVERY_GET:
        answer = other.get(path)
        assert answer.status_code == 403
        assert EN("study.refused_text.role") in answer.text
        assert "K-001" not in answer.text
        assert 'href="/study' not in answer.text
    before = participants.get(study, "K-001", WHO)
    token = {"csrf": re.search(r'data-csrf="([^"]*)"', other.get("/models").text)[1]}
    answer = other.client.post(f"{PERSON}/withdraw", data={"confirm": "K-001", **token})
    assert answer.status_code == 403
    content = b"\x1aE\xdf\xa3" + b"x" * 500
    answer = other.client.post(f"{SESSION}/clips", data=token, files={"file": ("a.webm", content)})
    assert answer.status_code == 403
    assert participants.get(study, "K-001", WHO) == before


def test_a_page_stands_once_in_the_audit_log(nurse, study):
    fill(study)
    for path in (f"{PERSON}/details", SESSION, f"{SESSION}/blood/1", f"{PERSON}/withdraw"):
        before = set(study.audit.entries())
        nurse.get(path)
        (entry,) = set(study.audit.entries()) - before
        assert (entry.action, entry.what) == ("participant.read", "participant 1")


def test_who_sees_the_codes_that_an_export_lacks_is_in_the_audit_log(nurse, study):
    fill(study)
    before = set(study.audit.entries())
    nurse.get("/study/export")
    (entry,) = set(study.audit.entries()) - before
    assert (entry.action, entry.what) == ("participant.list", "who an export lacks")


def test_admin_sees_the_study_and_a_stranger_is_asked_for_a_key(service, study):
    fill(study)
    app, keys = service
    assert "K-001" in Signed(app, keys["admin"]).get("/study").text
    stranger = TestClient(app, follow_redirects=False)
    for path in ("/study", PERSON, "/study/export", "/study?missing=clip&lang=tr"):
        answer = stranger.get(path)
        address = urlsplit(answer.headers["location"])
        assert (answer.status_code, address.path) == (303, "/sign-in")
        assert dict(parse_qsl(address.query))["next"] == path
    answer = stranger.post(f"{PERSON}/withdraw", data={"confirm": "K-001"})
    assert answer.status_code == 401
    assert participants.get(study, "K-001", WHO)


def test_signing_in_leads_to_the_page_that_was_asked_for(service, study):
    fill(study)
    app, keys = service
    stranger = TestClient(app, follow_redirects=False)
    page = stranger.get(stranger.get(f"{SESSION}?lang=tr").headers["location"]).text
    assert TR("sign_in.title") in page
    assert first_value(page, "next") == f"{SESSION}?lang=tr"
    wrong = stranger.post("/sign-in?lang=tr", data={"key": "wrong", "next": f"{SESSION}?lang=tr"})
    assert wrong.status_code == 401
    assert first_value(wrong.text, "next") == f"{SESSION}?lang=tr"
    for to, leads in (
        (f"{SESSION}?lang=tr", f"{SESSION}?lang=tr"),
        *((bad, "/?lang=tr") for bad in (
            "", "//evil.example", "/\\evil.example", "https://evil.example", "evil", "/\t/evil",
            "/v1/participants", "/ş", "/" + "a" * 3000, "/\r\nSet-Cookie: a=b",
        )),
    ):  # fmt: skip
        answer = stranger.post("/sign-in?lang=tr", data={"key": keys["study"], "next": to})
        assert (answer.status_code, answer.headers["location"]) == (303, leads), to


def test_a_form_that_was_sent_without_a_session_is_not_lost(service, study):
    app, keys = service
    before = Signed(app, keys["study"])
    entered = {
        "code": "K-9", "sex": "female", "note": "<b>ş & \"x\"</b>", "csrf": "of the old session",
        **consented(before),
    }  # fmt: skip
    stranger = TestClient(app, follow_redirects=False)
    answer = stranger.post("/study/new?lang=tr", data=entered)
    assert answer.status_code == 401
    assert TR("sign_in.kept") in answer.text
    given = {name: first_value(answer.text, name) for name in ("next", "kept")}
    assert given["next"] == "/study/new?lang=tr"
    wrong = stranger.post("/sign-in?lang=tr", data={"key": "wrong", **given})
    assert {name: first_value(wrong.text, name) for name in given} == given
    signed = stranger.post("/sign-in?lang=tr", data={"key": keys["study"], **given})
    assert signed.status_code == 200
    assert "of the old session" not in signed.text
    assert "<b>" not in signed.text
    (form,) = re.findall(r'<form method="post" action="([^"]*)"', signed.text)
    assert html.unescape(form) == "/study/new?lang=tr"
    with pytest.raises(UnknownError):
        participants.get(study, "K-9", WHO)
    again = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', signed.text))
    again = {name: html.unescape(value) for name, value in again.items()}
    saved = stranger.post(html.unescape(form), data=again)
    assert saved.status_code == 303, saved.text
    found = participants.get(study, "K-9", WHO)
    assert (found.sex, found.note) == ("female", '<b>ş & "x"</b>')
    # Another site cannot plant a form.
    foreign = stranger.post("/study/new", data=entered, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert "kept" not in foreign.text


def shown_fields(page):
    """What a browser sends of a form for changes where nobody touches it."""
    form = page.split('<form class="entry"')[1].split("</form>")[0]
    fields = dict(re.findall(r'<input[^>]* name="([^"]*)"[^>]* value="([^"]*)"', form))
    fields |= dict(re.findall(r'<textarea[^>]* name="([^"]*)"[^>]*>([^<]*)<', form))
    for name, options in re.findall(r'<select[^>]* name="([^"]*)".*?>(.*?)</select>', form, re.S):
        chosen = re.findall(r'<option value="([^"]*)" selected', options)
        fields[name] = chosen[0] if chosen else ""
    return {name: html.unescape(value) for name, value in fields.items()}


def test_what_others_changed_meanwhile_stays(nurse, study):
    fill(study)
    one = shown_fields(nurse.get(f"{PERSON}/details").text)
    other = dict(one)
    assert nurse.client.post(f"{PERSON}/details", data={**one, "age_years": "44"}).is_redirect
    wrong = nurse.client.post(f"{PERSON}/details", data={**other, "note": "n", "altitude_m": "x"})
    assert wrong.status_code == 422
    other = {**shown_fields(wrong.text), "altitude_m": "1200"}
    assert other["note"] == "n"
    assert nurse.client.post(f"{PERSON}/details", data=other).is_redirect
    found = participants.get(study, "K-001", WHO)
    assert (found.age_years, found.note, found.altitude_m) == (44, "n", 1200)
    assert (found.sex, found.smoking) == ("female", "no")

    one = shown_fields(nurse.get(f"{SESSION}/details").text)
    assert nurse.client.post(f"{SESSION}/details", data={**one, "site": "Izmir"}).is_redirect
    answer = nurse.client.post(f"{SESSION}/details", data={**one, "name": "first"})
    assert answer.headers["location"].startswith(f"{PERSON}/sessions/first?")
    session = participants.get(study, "K-001", WHO).session("first")
    assert session.site == "Izmir"

    blood = f"{PERSON}/sessions/first/blood/1"
    one = shown_fields(nurse.get(blood).text)
    assert nurse.client.post(blood, data={**one, "value": "12.9", "unit": "g/dL"}).is_redirect
    assert nurse.client.post(blood, data={**one, "method": "capillary_poc"}).is_redirect
    assert nurse.client.post(blood, data={**one, "value": "131"}).is_redirect
    (value,) = participants.get(study, "K-001", WHO).session("first").hemoglobin
    assert (value.hemoglobin_g_dl, value.method) == (13.1, "capillary_poc")


def test_a_form_of_an_earlier_sign_in_comes_back_as_it_was_entered(service, study):
    app, keys = service
    nurse = Signed(app, keys["study"])
    entered = {"code": "K-9", "note": "ş", **consented(nurse), "csrf": nurse.token()}
    nurse.client.post("/sign-in", data={"key": keys["study"]})
    answer = nurse.client.post("/study/new", data=entered)
    assert answer.status_code == 403
    assert EN("study.earlier_sign_in") in answer.text
    assert first_value(answer.text, "code") == "K-9"
    assert ">ş</textarea>" in answer.text
    again = {**entered, "csrf": first_value(answer.text, "csrf")}
    assert nurse.client.post("/study/new", data=again).status_code == 303


def test_on_loopback_without_keys_there_is_no_token_and_other_sites_are_refused(tmp_path):
    app = create_app(ServiceSettings(data=tmp_path / "data"), Rates(general=LOOSE))
    study = app.state.services.study
    add_person(study, "K-001")
    client = TestClient(app, base_url="http://127.0.0.1:8000", follow_redirects=False)
    assert 'name="csrf"' not in client.get("/study/new").text
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
        {"X-Forwarded-For": "10.0.0.1"},
    ):
        answer = client.post(f"{PERSON}/withdraw", data={"confirm": "K-001"}, headers=headers)
        assert answer.status_code == 403, headers
    answer = client.post(f"{PERSON}/withdraw", data={"confirm": "K-001"})
    assert answer.headers["location"] == "/study?saved=withdrawn"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"code=" + b"x" * 40_000, 413),
        (b"code=A&code=B", 400),
        (b"&".join(b"f%d=1" % n for n in range(60)), 400),
        (b"code=%ff%fe", 400),
        (b"\xff\xfe", 400),
    ],
)
def test_a_form_that_is_none_is_refused_in_the_style_of_the_page(nurse, body, status):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = nurse.client.post("/study/new", content=body, headers=headers)
    assert answer.status_code == status
    assert EN("study.refused.other") in answer.text
    assert "<main" in answer.text


def test_pages_are_not_kept_by_anybody(nurse, study):
    fill(study)
    for path in EVERY_GET:
        answer = nurse.get(path)
        assert answer.headers["cache-control"] == "no-store"
        assert "script-src 'self'" in answer.headers["content-security-policy"]


def test_pages_are_no_part_of_the_api_description(nurse):
    assert not any("/study/" in path and not path.startswith("/v1")
                   for path in nurse.client.get("/openapi.json").json()["paths"])  # fmt: skip


def upload(nurse, path=f"{SESSION}/clips", content=b"\x1aE\xdf\xa3" + b"x" * 500, **fields):
    data = {"csrf": nurse.token(), "camera": "phone", **fields}
    data = {name: value for name, value in data.items() if value is not None}
    return nurse.client.post(path, data=data, files={"file": ("a.webm", content)})


def test_a_file_is_sent_without_scripts(nurse, study):
    add_person(study, "K-001")
    add_session(study, "K-001")
    answer = upload(nurse)
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == f"{SESSION}?saved=clip#clips"
    (clip,) = participants.get(study, "K-001", WHO).sessions[0].clips
    assert (clip.camera, clip.state, clip.bytes) == ("phone", "queued", 504)
    for refused, status, words in (
        (upload(nurse), 409, EN("error.conflict").split("{")[0].strip(" (")),
        (upload(nurse, content=b"dear sir" * 90), 415, EN("error.wrong_type")),
        (upload(nurse, content=b""), 400, EN("error.malformed")),
        (upload(nurse, content=b"\x1aE\xdf\xa3" + b"y" * 500, camera="=1+1"), 422,
         EN("study.problem.characters")),
    ):  # fmt: skip
        assert refused.status_code == status
        assert words in html.unescape(refused.text), status
        assert "data-take" in refused.text, "the session is shown again"
    assert nurse.get(f"{SESSION}/clips?lang=tr").headers["location"] == f"{SESSION}?lang=tr"
    assert list(study.uploads.folder.iterdir()) == []
    assert len(list(study.clips.folder.iterdir())) == 1


def test_a_file_without_the_token_or_the_consent_is_not_kept(nurse, study):
    fill(study)
    there = sorted(path.name for path in study.clips.folder.iterdir())
    assert upload(nurse, csrf=None).status_code == 403
    assert upload(nurse, csrf="not it").status_code == 403
    answer = upload(nurse, "/study/participants/K-003/sessions/1/clips")
    assert answer.status_code == 409
    assert EN("error.no_consent") in answer.text
    assert upload(nurse, "/study/participants/no/sessions/1/clips").status_code == 404
    assert list(study.uploads.folder.iterdir()) == []
    assert sorted(path.name for path in study.clips.folder.iterdir()) == there
