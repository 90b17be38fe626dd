"""The pages as HTML text: what they say and what they never say."""

from __future__ import annotations

import copy
import html
import json
import re

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from pages_stand_in import CARD, StandIn, done, failed, unusable, usable
from pallor.service.pages import PageSettings, sign_in_page
from pallor.service.pages.cards import card_view
from pallor.service.pages.language import texts
from pallor.service.pages.results import result_view
from report_cases import Page

EN, TR = texts("en"), texts("tr")
MAN = {"sex": "male", "age_years": "40", "altitude_m": "100", "smoking": "no"}


@pytest.fixture
def stand_in():
    return StandIn()


@pytest.fixture
def client(stand_in):
    return TestClient(stand_in.app(PageSettings()))


def every_path(stand_in):
    return [
        "/", "/models", "/result/none", "/sign-in",
        *(stand_in.keep(job) for job in (
            done(usable(), **MAN), done(unusable("no_face")), failed("crashed"),
            done(usable(interval_low_g_dl=None, interval_high_g_dl=None)),
        )),
    ]  # fmt: skip


@pytest.mark.parametrize("language", ["en", "tr"])
def test_pages_are_well_formed_and_hold_nothing_inline(client, stand_in, language):
    for path in every_path(stand_in):
        page = client.get(path, headers={"Accept-Language": language}).text
        assert Page(page).unbalanced == [], path
        assert " style=" not in page
        assert not re.search(r"\son\w+=", page)
        assert not re.search(r"<script(?![^>]*\ssrc=)", page)
        assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//""", page)
        assert EN("notice.short") in page or TR("notice.short") in page
        assert f'<html lang="{language}">' in page


def test_what_other_people_wrote_is_escaped(client, stand_in):
    bad = "<script>alert(1)</script>'\""
    stand_in.cards = [{**CARD, "name": bad, "id": bad, "notes": [bad], "regressor": bad}]
    result = unusable("outside_model")
    result["reasons"][0]["text"] = bad
    paths = [stand_in.keep(done(result)), stand_in.keep(failed("new_code", bad)), "/models", "/"]
    stand_in.cards.append(CARD)
    for path in paths:
        page = client.get(path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page, path


def test_a_missing_job_is_404_and_pages_are_not_cached(client):
    answer = client.get("/result/..%2f..%2fetc")
    assert answer.status_code == 404
    answer = client.get("/result/none")
    assert answer.status_code == 404
    assert "There is no such result" in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "Accept-Language" in answer.headers["vary"]


def test_pages_are_no_part_of_the_api_description(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {
        "/v1/estimates", "/v1/estimates/{job_id}", "/v1/estimates/{job_id}/events", "/v1/hints",
        "/v1/session",
    }  # fmt: skip


def test_static_files_are_there_and_nothing_else(client):
    assert client.get("/static/style.css").headers["content-type"].startswith("text/css")
    script = client.get("/static/js/measure.js")
    assert "javascript" in script.headers["content-type"]
    for path in ("/static/../routes.py", "/static/%2e%2e/routes.py", "/static/texts/en.json"):
        assert client.get(path).status_code == 404


def test_without_a_model_measuring_is_not_offered(client, stand_in):
    stand_in.cards = []
    for path in ("/", "/models"):
        assert "No model is loaded" in client.get(path).text
    assert "data-take" not in client.get("/").text


def test_several_models_can_be_chosen_from(client, stand_in):
    assert 'name="model"' not in client.get("/").text
    stand_in.cards = [CARD, {**CARD, "id": "ffee", "name": "second"}]
    page = client.get("/").text
    assert f'<option value="{CARD["id"]}">clinic-2026</option>' in page
    assert '<option value="ffee">second</option>' in page


def test_simulated_is_stamped_on_every_page(client, stand_in):
    simulated = {**CARD, "simulated": True}
    for path in every_path(stand_in):
        assert "SIMULATED" not in client.get(path).text
    result = stand_in.keep(done(usable(simulated=True)))
    assert "SIMULATED" in client.get(result).text
    stand_in.cards = [CARD, simulated]
    for path in set(every_path(stand_in)) - {"/sign-in"}:
        assert "SIMULATED" in client.get(path).text
        assert TR("simulated.word") in client.get(f"{path}?lang=tr").text


def test_settings_and_texts_reach_the_script(stand_in):
    client = TestClient(stand_in.app(PageSettings(recording_s=12.0, max_bytes=77)))
    page = client.get("/?lang=tr").text
    assert 'data-recording-s="12.0"' in page
    assert 'data-max-bytes="77"' in page
    assert 'data-bits-per-second="10000000"' in page
    assert 'data-csrf="the-token"' in page
    assert 'data-query="lang=tr"' in page
    (catalog,) = re.findall('data-texts="([^"]*)"', page)
    assert json.loads(html.unescape(catalog))["hint.good"] == TR("hint.good")


def asking(**wanted):
    async def ask(request):
        return sign_in_page(request, "/door", **wanted)

    return TestClient(Starlette(routes=[Route("/", ask)]))


def test_the_page_that_asks_for_a_key():
    page = asking().get("/?lang=tr").text
    assert '<form class="narrow" method="post" action="/door?lang=tr">' in page
    assert "data-sign-out" not in page
    assert 'role="alert"' not in page


@pytest.mark.parametrize(
    ("code", "said"), [("no_key", EN("sign_in.no_key")), ("new", "&lt;own words&gt;")]
)
def test_a_key_that_was_not_taken(code, said):
    client = asking(code=code, text="<own words>", status=401, headers={"Retry-After": "3"})
    answer = client.get("/")
    assert (answer.status_code, answer.headers["retry-after"]) == (401, "3")
    assert f'role="alert">{said}</p>' in answer.text


def test_too_few_bits_are_refused():
    with pytest.raises(ValueError, match="8 Mbit/s"):
        PageSettings(bits_per_second=7_999_999)


def test_a_usable_result_in_words():
    view = result_view(done(usable(), **MAN), EN)
    assert (view["kind"], view["estimate"], view["heart_rate"]) == ("usable", "12.3", "72")
    assert view["interval"] == "90 % interval: 10.9 to 13.8 g/dL"
    # 12.34 lies in [11, 13), 10.91 below 11, 13.77 above 13.
    assert view["who"] == [
        "By the WHO limits for men from 15 years, the estimate lies in “mild anemia”; its "
        "interval reaches from “moderate anemia” to “no anemia”, so it does not settle the "
        "question."
    ]
    assert view["assumed"] == []
    assert view["quality"][0] == ("Length", "30.0 s")


def test_a_result_says_whose_it_is_as_far_as_that_was_told():
    person = {**MAN, "age_years": 4.5, "altitude_m": 938.0, "smoking": "yes"}
    rows = dict(
        result_view({**done(usable(), **person), "created_s": 1_780_000_000.0}, TR)["person"]
    )
    assert rows.pop(TR("result.when")).startswith("2")
    assert rows == {
        "Cinsiyet": "erkek", TR("study.age"): "4,5 yaşında", TR("study.altitude"): "938 m",
        TR("person.smoking"): TR("person.smokes"),
    }  # fmt: skip
    nothing = result_view({**done(usable()), "created_s": None}, EN)
    assert nothing["person"] == []


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("age_years", ["0", "4,5", "4.5", "34", "119", " 120 "], ["-1", "121", "4,", "1e2", "x"]),
        ("altitude_m", ["0", "-400", "1650", "938,5"], ["1.650", "1,650", "16500", "x", "1e3"]),
    ],
)
def test_measure_takes_numbers_as_people_write_them(client, field, good, bad):
    page = client.get("/").text
    (pattern,) = re.findall(rf'<input id="{field}"[^>]* pattern="([^"]*)"', page)
    for text in good:
        assert re.fullmatch(html.unescape(pattern), text), text
    for text in bad:
        assert not re.fullmatch(html.unescape(pattern), text), text


def test_an_interval_within_one_band_says_so():
    result = usable(hemoglobin_g_dl=15.0, interval_low_g_dl=14.0, interval_high_g_dl=16.0)
    (sentence,) = result_view(done(result, **MAN), EN)["who"]
    assert sentence.endswith("the estimate and its whole interval lie in “no anemia”.")


def test_a_number_is_not_rounded_into_another_group():
    # Men: mild anemia from 11 to below 13 g/dL.
    result = usable(hemoglobin_g_dl=12.96, interval_low_g_dl=11.04, interval_high_g_dl=12.99)
    view = result_view(done(result, **MAN), TR)
    assert view["estimate"] == "12,96"
    assert view["interval"] == "Aralık (%90): 11,0 – 12,99 g/dL"
    assert "12,96 g/dL" in view["interval_svg"]
    assert view["who"][0].endswith("tahmin ve aralığının tamamı “hafif anemi” bandında.")
    assert result_view(done(result), TR)["estimate"] == "13,0"


@pytest.mark.parametrize("coverage", [0.5, 0.79])
def test_an_interval_of_little_coverage_is_placed_in_no_group(coverage):
    for low, high in ((14.9, 15.1), (9.0, 16.0)):
        result = usable(hemoglobin_g_dl=15.0, interval_low_g_dl=low, interval_high_g_dl=high)
        view = result_view(done({**result, "coverage": coverage}, **MAN), EN)
        assert view["who"] == [
            "By the WHO limits for men from 15 years, the estimate lies in “no anemia”. An "
            "interval of less than 80 % does not settle the question."
        ]


def test_limits_that_altitude_and_smoking_raise_are_told():
    view = result_view(done(usable(), **{**MAN, "altitude_m": 2600, "smoking": "yes"}), TR)
    assert view["who"][1] == "Sınırlar yükseklik ve sigara nedeniyle 2,1 g/dL yükseltildi."


def test_what_is_not_known_of_the_person_is_told():
    view = result_view(done(usable()), EN)
    assert view["who"] == [EN("unknown.age_unknown")]
    assert view["assumed"] == []
    assert "band-name" not in view["interval_svg"]
    view = result_view(done(usable(), sex="female", age_years=70), EN)
    assert view["assumed"] == [
        EN("assumed.older_than_65_years"), EN("assumed.taken_as_below_500_m"),
        EN("assumed.taken_as_non_smoker"),
    ]  # fmt: skip


def test_an_open_interval_is_told():
    view = result_view(done(usable(interval_low_g_dl=None, interval_high_g_dl=None), **MAN), EN)
    assert view["interval"] == EN("advice.no_interval")
    assert view["who"] == [
        "By the WHO limits for men from 15 years, the estimate lies in “mild anemia”."
    ]


def test_why_there_is_no_interval_is_said_once():
    warnings = [
        {"code": "no_interval", "text": "an interval of coverage 0.95 needs 19 residuals"},
        {"code": "truncated", "text": "it ends early"},
    ]
    result = usable(interval_low_g_dl=None, interval_high_g_dl=None, warnings=warnings)
    view = result_view(done(result, **MAN), TR)
    assert view["interval"] == TR("advice.no_interval")
    assert view["warnings"] == [TR("advice.truncated")]


def test_an_unusable_result_has_no_number():
    result = unusable("no_pulse", "no_pulse", "never_heard_of", "outside_model")
    # Even where a number came along by mistake, it is not shown.
    result["hemoglobin_g_dl"] = 12.3
    view = result_view(done(result, **MAN), EN)
    assert view["kind"] == "unusable"
    assert view["reasons"] == [
        EN("advice.no_pulse"),
        "clip: never_heard_of",
        EN("advice.outside_model").replace("{text}", "clip: outside_model"),
    ]
    assert "estimate" not in view
    assert result_view(done(unusable()), EN)["reasons"] == [EN("advice.unknown")]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("crashed", EN("failed.crashed")),
        ("truncated", EN("advice.truncated")),
        ("new_code", "it broke"),
    ],
)
def test_a_failed_job_says_why(code, said):
    view = result_view(failed(code), EN)
    assert (view["kind"], view["problem"]) == ("failed", said)


def test_a_failed_job_without_words_still_says_something():
    assert result_view(failed("new_code", ""), EN)["problem"] == EN("failed.internal")


@pytest.mark.parametrize(
    ("state", "stage", "said"),
    [
        ("queued", "queued", EN("stage.queued")),
        ("running", "reading", EN("stage.reading")),
        ("running", "unheard", EN("stage.running")),
    ],
)
def test_a_job_that_is_not_done_waits(state, stage, said):
    job = {**done(usable()), "state": state, "stage": stage, "share": 0.4, "result": None}
    view = result_view(job, EN)
    assert (view["kind"], view["stage"], view["share"]) == ("waiting", said, 0.4)


def test_card_shows_the_model_beside_those_that_see_no_face():
    card = card_view(CARD, TR)
    assert card["scores"] == [
        ("bu model", "0,98", "0,61", "0,37"),
        ("herkesin ortalaması", "1,27", "–", "−0,01"),
        ("yalnızca cinsiyet", "1,05", "0,55", "0,30"),
    ]
    assert card["units"] == "260"
    assert ("Cinsiyet", "kadın 140, erkek 120") in card["rows"]
    assert ("Yaş (yıl)", "18 – 81") in card["rows"]
    assert (TR("card.modalities"), "renk, nabız") in card["rows"]
    assert (TR("card.reference"), TR("study.method_venous_cbc")) in card["rows"]
    assert (TR("card.created"), "01.03.2026") in card["rows"]
    assert card["summary"] == ""


def test_a_bare_card_shows_its_summary_alone():
    card = card_view({"name": "m", "simulated": True, "summary": "one line"}, EN)
    assert card == {
        "id": "m", "name": "m", "simulated": True, "summary": "one line", "rows": [],
        "scores": [], "units": "",
    }  # fmt: skip


def test_gaps_of_a_card_are_left_out():
    card = copy.deepcopy(CARD)
    card["cohort"] |= {"age_years": None, "sex": {}, "reference_methods": {}}
    card["metrics"]["r2"] = None
    view = card_view(card, EN)
    names = [name for name, _ in view["rows"]]
    assert EN("card.ages") not in names
    assert EN("person.sex") not in names
    assert view["scores"][0][3] == "–"


def test_nothing_can_be_pressed_before_the_scripts_are_there(client):
    page = client.get("/").text
    for button in (r'data-part="start"', r'type="submit"'):
        assert re.search(rf"<button[^>]*{button}[^>]* disabled>", page), button
