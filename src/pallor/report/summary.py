"""The summary: what was done, on whom, how good it is, and what stands against believing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pallor.evaluation.resampling import MIN_PARTICIPANTS
from pallor.report import absent, words

CONTROLS: Final = {
    "background": "the background of the picture",
    "face_less": "the background and the facts of the recording",
}
"""What a control sees, by its name."""
SUMMARY_COVERAGE: Final = 0.9
"""The nominal coverage that the summary speaks of."""
_COVERED: Final = {
    "below": "fewer than they should: they are too narrow",
    "above": "more than they need: they could be narrower",
    "consistent": "in keeping with what they promise",
    "unknown": "without an interval, so nothing follows from it",
}


def summary(metrics: Mapping[str, Any]) -> list[str]:
    """Say what was done, on whom, how good it is, and what it adds to sex and age.

    Parameters
    ----------
    metrics
        As in ``metrics.json``.

    Returns
    -------
    One sentence or a few each. Nothing in them is picked because it scored well.
    """
    said = [note for note in metrics["notes"] if note.startswith("Warning")]
    said += [_who(metrics), *_how_good(metrics), *_beside_baselines(metrics), gain(metrics)]
    said += [fusing(metrics), *_screening(metrics), *_coverage(metrics), *doubts(metrics)]
    if metrics["without_duplicates"] is not None:
        said.append(_copies(metrics))
    return [sentence for sentence in said if sentence]


def _who(metrics: Mapping[str, Any]) -> str:
    outcome = metrics["outcome"]
    return (
        f"{words.plural(metrics['clips'], 'clip')} of"
        f" {words.plural(metrics['participants'], 'participant')} were scored, whose measured"
        f" hemoglobin was {words.number(outcome['mean'], 1)} ± {words.number(outcome['sd'], 1)}"
        f" g/dL ({words.number(outcome['minimum'], 1)} to"
        f" {words.number(outcome['maximum'], 1)}). Nobody was scored by a model that had seen"
        f" them in training: {words.protocol(metrics)}."
    )


def _how_good(metrics: Mapping[str, Any]) -> list[str]:
    headline = words.find(metrics["models"], metrics["headline"])
    if headline is None:
        return [absent.NO_MAIN_MODEL]
    said = (
        "The main result, fixed before any score was seen, is stacking on"
        f" {words.modalities(headline)}: on average the estimate is"
        f" {words.with_interval(headline['mae'])} g/dL away from the measurement, Pearson r"
        f" {words.with_interval(headline['r'])}, R² {words.with_interval(headline['r2'])}."
    )
    limits = metrics["agreement"]
    if limits is not None and limits["limit_low_g_dl"] is not None:
        said += (
            " The limits of agreement are"
            f" {words.signed(limits['limit_low_g_dl'])} and"
            f" {words.signed(limits['limit_high_g_dl'])} g/dL: so far may a single estimate lie"
            " from the measurement in 95 of 100 cases, if the differences are normal."
        )
    return [said]


def _beside_baselines(metrics: Mapping[str, Any]) -> list[str]:
    entries = metrics["baselines"]
    known = words.find(entries, "sex_age") or words.find(entries, "sex")
    said = []
    if known is not None:
        what = "sex and age" if known["name"] == "sex_age" else "sex"
        said.append(
            f"Knowing only {what}, without looking at any clip, the estimate would be"
            f" {words.with_interval(known['mae'])} g/dL away, R²"
            f" {words.with_interval(known['r2'])}."
        )
    mean = words.find(entries, "mean")
    if mean is not None:
        said.append(
            f"Telling everybody the average would be {words.with_interval(mean['mae'])} g/dL away."
        )
    return said


def gain(metrics: Mapping[str, Any]) -> str:
    """Say what the clips add to sex and age, and whether the interval excludes 0."""
    found = metrics["incremental_r2"]
    if found is None:
        return (
            "What the clips add to sex and age is not known: that needs the sex and the age of the"
            " participants, and stacking."
        )
    told = f"Added to sex and age, the clips change R² by {words.with_interval(found)}"
    without = (metrics["without_duplicates"] or {}).get("incremental_r2")
    if without is None:
        return f"{told}. {words.verdict(found)}"
    return f"{told}, without copies by {words.with_interval(without)}. {words.verdict(without)}"


def fusing(metrics: Mapping[str, Any]) -> str:
    """Say whether all modalities together beat the best single one.

    The best single modality is not looked up, since the best of several is good by chance, too.
    All together beat it where they beat each: every interval has to exclude 0. That needs no
    correction for their number (an intersection-union test: Berger, Technometrics
    1982;24:295-300).

    Returns
    -------
    One sentence or two, of the main regressor; empty where there is no main result.
    """
    if metrics["headline"] is None:
        return ""
    source = metrics["without_duplicates"] or metrics
    entries = [one for one in source["comparisons"] if one["model"] == metrics["headline"]]
    if not entries:
        return "A single modality was evaluated, so there is nothing to fuse."
    found: dict[str, list[str]] = {}
    for one in entries:
        against = words.modalities({"modalities": words.sides(one)[1].split("+")})
        told = f"{against} (R² {words.signed_with_interval(one['r2'])})"
        found.setdefault(words.told_apart(one), []).append(told)
    better = found.pop("better", [])
    worse = found.pop("worse", [])
    rest = [told for many in found.values() for told in many]
    where = " on the clips without copies" if source is not metrics else ""
    whole = f"All modalities together{where}"
    if not worse and not rest:
        end = ", hence also the best of them" if len(better) > 1 else ""
        return f"{whole} beat each single modality, {words.listed(better)}{end}."
    parts = [
        f"{verb} {words.listed(names, last)}"
        for verb, names, last in (
            ("are not shown to beat", rest, "or"),
            ("do worse than", worse, "and"),
            ("beat", better, "and"),
        )
        if names
    ]
    verdict = "do not beat" if worse else "are not shown to beat"
    return f"{whole} {'; they '.join(parts)}. So they {verdict} the best single modality here."


def _screening(metrics: Mapping[str, Any]) -> list[str]:
    screening = metrics["screening"]
    if screening is None:
        return []
    model, known = screening["model"], screening["sex_age"]
    overall = model["overall"]
    if not overall["participants"]:
        return ["Nobody's limit of anemia is known, so how well anemia is found cannot be judged."]
    counted = (
        f"Of {words.plural(overall['participants'], 'participant')} whose limit is known,"
        f" {overall['anemic']} are anemic by the limits of the WHO"
    )
    if overall["auc"]["value"] is None:
        return [f"{counted}: how well anemia is found cannot be judged."]
    point = overall["at_cutoff"]
    said = (
        f"{counted}. The estimate ranks them with an AUC of {words.with_interval(overall['auc'])}"
    )
    if known is not None:
        said += f" ({words.with_interval(known['overall']['auc'])} knowing only sex and age)"
    said += (
        "; calling anemic everyone whose estimate lies below their limit finds"
        f" {words.share(point['sensitivity'])} of the anemic and clears"
        f" {words.share(point['specificity'])} of the others."
    )
    if overall["anemic"] < MIN_PARTICIPANTS:
        said += f" Fewer than {MIN_PARTICIPANTS} are anemic, too few for a conclusion."
    return [said]


def _coverage(metrics: Mapping[str, Any]) -> list[str]:
    if metrics["coverage"] is None:
        return []
    levels = metrics["coverage"]["overall"]["levels"]
    level = next((one for one in levels if one["nominal"] == SUMMARY_COVERAGE), None)
    if level is None:
        return []
    width = words.number(level["mean_width_g_dl"]["value"], 1)
    return [
        f"Intervals that should hold {100 * level['nominal']:.0f} % of the measurements held"
        f" {words.share(level['coverage'])}, {_COVERED[level['verdict']]}; on average they are"
        f" {width} g/dL wide."
    ]


def doubts(metrics: Mapping[str, Any]) -> list[str]:
    """Say what the controls found, and how often chance would do as well."""
    said = []
    if metrics["incremental_r2"] is not None:
        said.append(controls(metrics))
    test = metrics["permutation_within_sex"]
    if test is not None and test["p_value"] is not None:
        said.append(
            "With hemoglobin exchanged at random among people of the same sex, so large a gain over"
            f" sex and age comes up with {words.p_value(test['p_value'])} (one-sided,"
            f" {test['permutations']} exchanges)."
        )
    return said


def controls(metrics: Mapping[str, Any]) -> str:
    """Give the verdict of the control models in one sentence or two."""
    found = metrics["controls"]
    alarms = [one for one in found if one["alarm"]]
    if not found:
        return "There is no control model: the table holds nothing of the surroundings."

    def told(entries: list[dict[str, Any]]) -> str:
        return words.listed(
            [
                f"{CONTROLS.get(one['name'], one['name'])}"
                f" (R² {words.signed_with_interval(one['incremental_r2'], 3)})"
                for one in entries
            ]
        )

    if alarms:
        return (
            f"Warning: {told(alarms)}, without any skin, tell hemoglobin beyond sex and age. Light,"
            " place or camera go with hemoglobin in this cohort, and what models of the face add"
            " cannot be ascribed to the face."
        )
    return (
        "Control models that see no skin are not shown to tell hemoglobin beyond sex and age:"
        f" {told(found)}."
    )


def _copies(metrics: Mapping[str, Any]) -> str:
    duplicates, other = metrics["duplicates"], metrics["without_duplicates"]
    said = (
        f"{duplicates['rows']} clips share their content with another"
        f" ({words.plural(duplicates['groups'], 'group')},"
        f" {duplicates['across_participants']} across participants)."
    )
    best = words.find(other["models"], metrics["headline"])
    if best is None:
        return said
    return (
        f"{said} On the {words.plural(other['clips'], 'clip')} that remain without these copies"
        f" the main result is {words.with_interval(best['mae'])} g/dL, R²"
        f" {words.with_interval(best['r2'])}; quote this one. Everything about the main result"
        " beyond such scores, from agreement to subgroups, is of all clips."
    )
