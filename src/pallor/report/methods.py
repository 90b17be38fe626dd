"""The methods as a paper would describe them: what this run did, and nothing that it did not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pallor.evaluation.probe_plan import MOST_REPEATS
from pallor.report import words
from pallor.report.references import cite, cited


def methods(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Describe the protocol as a paper's methods section would.

    Parameters
    ----------
    metrics
        As in ``metrics.json``.

    Returns
    -------
    Headings and paragraphs.
    """
    return [(heading, cite(text)) for heading, text in _marked(metrics)]


def references(metrics: Mapping[str, Any]) -> list[str]:
    """List what the methods of this run cite, and the checklist."""
    return cited([*(text for _, text in _marked(metrics)), "@collins2024"])


def _marked(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = [("Splits", _splits(metrics)), ("Unit of analysis", _unit(metrics))]
    found += _models(metrics)
    found += [
        ("Scores", _scores(metrics)),
        ("Intervals", _intervals(metrics)),
        ("Baselines", _baselines(metrics)),
    ]
    parts = {
        "comparisons": ("Comparisons", _COMPARISONS),
        "agreement": ("Agreement", _AGREEMENT),
        "screening": ("Anemia", _ANEMIA),
        "coverage": ("Prediction intervals", _COVERAGE),
        "quality": ("Quality", _QUALITY),
        "subgroups": ("Subgroups", _SUBGROUPS),
        "controls": ("Controls", _CONTROLS),
        "sex_probe": ("Sex probe", _sex_probe(metrics)),
        "permutation_within_sex": ("Permutation", _permutation(metrics)),
        "explanation": ("Explanation", _EXPLANATION),
        "reproduction": ("Seeds", _SEEDS),
    }
    found += [text for key, text in parts.items() if metrics.get(key)]
    found.append(("Copies", _COPIES))
    return found


def _splits(metrics: Mapping[str, Any]) -> str:
    holdout = metrics["protocol"] == "holdout"
    strata = " The held-out fifth is drawn from strata of sex and fifths of hemoglobin."
    drawn = strata if holdout else ""
    return (
        f"Outer split: {words.protocol(metrics)}, seed {metrics['seed']}.{drawn} All clips of a"
        " participant, and all clips that share content with one of theirs, lie on one side of"
        " every split; this was asserted for each fit. Everything that learns (imputation,"
        " scaling, dimension reduction, tuning, the weights of stacking) did so inside the"
        " training part, with inner folds grouped in the same way (nested cross-validation,"
        " @varma2006)."
    )


def _unit(metrics: Mapping[str, Any]) -> str:
    if metrics["splits"]["unit"] == "clip":
        return "A single clip."
    return "A participant in a session; predictions for the clips of one were averaged."


def _models(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    kinds = {
        "xgboost": "gradient-boosted trees (xgboost, @chen2016)",
        "random_forest": "a random forest (@breiman2001)",
        "stacking": "stacking: several learners on each modality, whose out-of-fold predictions"
        " are summed with non-negative weights under a ridge penalty (@breiman1996)",
    }
    used = dict.fromkeys(entry["regressor"] for entry in metrics["models"])
    if not used:
        return []
    small = " Models are small and not tuned, for a first look."
    small = small if metrics["splits"]["quick"] else ""
    text = (
        f"Regressors: {words.listed([kinds.get(name, name) for name in used])}; built on"
        f" scikit-learn (@pedregosa2011).{small} Modalities are fused late. The model of the main"
        " result was fixed beforehand, as stacking on all modalities; other cells of the table are"
        " shown for comparison, and the best of them is not a result."
    )
    return [("Models", text)]


def _scores(metrics: Mapping[str, Any]) -> str:
    pooled = (
        "Scores are computed for each seed on the part that it tests and averaged over seeds."
        if metrics["protocol"] == "holdout"
        else "Scores are computed on the pooled out-of-fold predictions of each repeat and averaged"
        " over repeats; predictions are not averaged over repeats."
    )
    return (
        f"{pooled} R² is 1 − SSE/SST about the mean of the scored measurements, and can be"
        " negative. Concordance correlation: @lin1989. Calibration slope and intercept are those of"
        " least squares of the measurement on the estimate (@steyerberg2019). Within 4 % is what"
        " laboratories of the United States are held to in proficiency tests since 2025, 7 % what"
        " they were held to before (42 CFR 493.941). What needs predictions that vary is not given"
        " for predictions that are constant inside each fold."
    )


def _intervals(metrics: Mapping[str, Any]) -> str:
    return (
        f"Intervals are 95 % percentile intervals of {metrics['splits']['bootstrap']} bootstrap"
        " resamples of participants (@efron1993), the same for all models; differences are paired."
        " They carry the uncertainty of who was measured, not that of training again on other"
        " people. Shares of exactly 0 or 1 have the exact binomial limit (@clopper1934)."
    )


def _baselines(metrics: Mapping[str, Any]) -> str:
    described = [f"{one['description']} ({one['name']})" for one in metrics["baselines"]]
    text = (
        f"Without looking at a clip: {words.listed(described)}; learned on the training part of"
        " the same splits."
    )
    if metrics["incremental_r2"] is None:
        return text
    return (
        f"{text} Incremental R² is R² of stacking on sex, age and all modalities minus R² of the"
        " baseline of sex and age, on the same rows."
    )


_COMPARISONS = (
    "All modalities together are compared with each modality alone under the same regressor, by"
    " the paired difference of R². None is picked by its score. That all together beat the best"
    " single modality is said only where the interval excludes 0 for each of them, which needs no"
    " correction for their number (@berger1982)."
)
_AGREEMENT = (
    "Bias and limits of agreement after @bland1986, their intervals after @bland1999; where"
    " participants have several units, the variance is that between plus that within participants"
    " (@bland2007; @olofsen2015)."
)
_ANEMIA = (
    "Anemia is hemoglobin below the limit of the World Health Organization for age, sex and"
    " pregnancy, adjusted for altitude and smoking where known (@who2024), on unrounded values;"
    " measured and estimated hemoglobin are held against the same limit. Areas under the ROC curve"
    " compare people of one fold only, since pooling over folds misorders them (@parker2007);"
    " curves are averaged vertically (@fawcett2006). Decision curves after @vickers2006; the"
    " probability of anemia comes from the errors in the other folds."
)
_COVERAGE = (
    "Prediction intervals are conformal (@vovk2005; @lei2018), from out-of-fold residuals of the"
    " training part, one for each participant, with the package crepes (@bostrom2022). This is the"
    " cross-conformal shortcut, close to nominal in practice (@barber2021). Coverage is judged on"
    " the test parts."
)
_QUALITY = (
    "Risk-coverage curve after @geifman2019, by a quality score that was fixed beforehand. The"
    " threshold of the gate was chosen inside each training part and applied to its test part."
)
_SUBGROUPS = (
    "Subgroups of fewer than 20 participants are listed without a score. The interval of the"
    " largest difference between groups is simultaneous for all pairs. Skin tone is the individual"
    " typology angle (@chardon1991; @delbino2013) of uncalibrated pixels."
)
_CONTROLS = (
    "Control models see sex, age and what is no skin: the background of the picture; the"
    " background and the facts of the recording, such as length and frame rate. They are held"
    " against sex and age alone."
)
_EXPLANATION = (
    "Permutation importance swaps features between held-out participants (@fisher2019), and"
    " contributions of boosted trees are Shapley values of their paths (@lundberg2020); both on"
    " rows that the explained model has not seen."
)
_SEEDS = (
    "The published figures are those of @gunes2026. What their abstract does not state (regions,"
    " sampling of frames, splits) is our choice, so the models are a reconstruction."
)
_COPIES = (
    "Clips of equal content were found by their hash. Copies are kept in one fold. Without copies:"
    " contents that stand under several participants or with contradictory labels are dropped,"
    " others are kept once."
)


def _sex_probe(metrics: Mapping[str, Any]) -> str:
    splits = metrics["splits"]
    probed = 1 if splits["quick"] else MOST_REPEATS
    first = ""
    if metrics["protocol"] != "holdout" and splits["repeats"] > probed:
        first = " (first repeat)" if probed == 1 else f" (first {probed} repeats)"
    return (
        "For each modality a logistic regression of sex on its features, prepared by training"
        " medians, variance filter, standardization and principal components, with an L2 penalty"
        " fixed beforehand and sexes of equal weight; on the training part of the same"
        f" splits{first}. The AUC is that of units of analysis, pooled over the folds of a repeat;"
        " pooling puts it slightly below 0.5 where there is nothing to tell. Its interval does not"
        " carry the chance that lies in the fits either: one that barely excludes 0.5 shows"
        " nothing."
    )


def _permutation(metrics: Mapping[str, Any]) -> str:
    test = metrics["permutation_within_sex"]
    if test is None:
        return ""
    fits = (
        "everything fitted again each time"
        if test["refitted"]
        else "predictions held fixed and the null distribution widened by √2 for it, since"
        " cross-fitted predictions are otherwise significant too often"
    )
    return (
        f"Measured hemoglobin was exchanged {test['permutations']} times among participants of the"
        f" same sex, {fits}; p = (1 + b) / (1 + n) (@phipson2010), one-sided. The test says nothing"
        " of light, camera or place, which may go with hemoglobin as well: the controls do."
    )
