"""The TRIPOD+AI checklist, answered as far as a run can answer it.

Items in our own words after Collins et al., BMJ 2024;385:e078378, whose numbers they bear; the
wording to submit is that of the statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pallor.report import absent, words
from pallor.report.table import Column, Row, Table

ANSWERED: Final = "answered by this run"
PARTLY: Final = "in part by this run"
AUTHORS: Final = "for the authors"


@dataclass(frozen=True)
class Item:
    """One item.

    Attributes
    ----------
    number
        Of the statement.
    section
        Part of a paper.
    asks
        What is to be reported, in our words.
    status
        `ANSWERED`, `PARTLY` or `AUTHORS`.
    answer
        Where in this report, or what the run says; may hold ``{participants}`` and the like.
    needs
        Entries of the metrics without which the run has no answer.
    """

    number: str
    section: str
    asks: str
    status: str = AUTHORS
    answer: str = ""
    needs: tuple[str, ...] = ()


ITEMS: Final = (
    Item("1", "Title", "Say that a prediction model is developed or evaluated, for whom, and for"
         " which outcome."),
    Item("2", "Abstract", "Give the abstract that TRIPOD+AI for Abstracts asks for.", PARTLY,
         "its numbers are in section Summary."),
    Item("3a", "Introduction", "Explain the clinical context, why the model is needed, and which"
         " models exist.", PARTLY, "figures of others are in section Prior work.", ("prior_work",)),
    Item("3b", "Introduction", "Say for whom the model is meant, where in care, and who would use"
         " it."),
    Item("3c", "Introduction", "Describe known inequalities in health between groups."),
    Item("4", "Introduction", "State the objectives, and whether a model is developed, validated"
         " or both.", PARTLY, "models are developed and internally validated; none is validated on"
         " a cohort of its own."),
    Item("5a", "Methods: data", "Describe where the data come from, why, and whom they represent."),
    Item("5b", "Methods: data", "Give the dates of recruitment."),
    Item("6a", "Methods: participants", "Describe the setting, number and place of the centers."),
    Item("6b", "Methods: participants", "Give the criteria of eligibility."),
    Item("6c", "Methods: participants", "Report treatments that matter, such as iron or"
         " transfusion."),
    Item("7", "Methods: data preparation", "Describe processing and quality checks, and whether"
         " they were alike in all groups.", PARTLY, "sections Methods and Quality."),
    Item("8a", "Methods: outcome", "Define the outcome, how and when it was measured, and whether"
         " alike in all groups.", PARTLY, "hemoglobin in g/dL; reference method: {methods}."),
    Item("8b", "Methods: outcome", "Where judgment decides the outcome, describe who judged.",
         AUTHORS, "not needed where hemoglobin is read off a device."),
    Item("8c", "Methods: outcome", "Say whether whoever measured the outcome was blind to the"
         " clips."),
    Item("9a", "Methods: predictors", "Say how predictors were chosen.", PARTLY,
         "modalities: {modalities}; all features of each were offered, none chosen by hand."),
    Item("9b", "Methods: predictors", "Define predictors, and how and when they were measured.",
         PARTLY, "features bear systematic names; how clips were recorded is for the authors."),
    Item("9c", "Methods: predictors", "Where judgment decides a predictor, describe who judged.",
         ANSWERED, "none: all features are computed."),
    Item("10", "Methods: sample size", "Explain the number of participants and why it is enough.",
         PARTLY, "{participants} participants were scored; the width of the intervals shows what"
         " that number allows."),
    Item("11", "Methods: missing data", "Say how missing values were handled and why data were"
         " left out.", ANSWERED, "section Participants; missing features are filled with medians"
         " of the training part, missing sex and age likewise."),
    Item("12a", "Methods: analysis", "Say how data were divided between development and"
         " evaluation.", ANSWERED, "section Methods, Splits: {protocol}."),
    Item("12b", "Methods: analysis", "Say how predictors were transformed.", ANSWERED,
         "section Methods; every transformation was learned in the training part."),
    Item("12c", "Methods: analysis", "Name the kind of model, every step of building it, tuning"
         " and internal validation.", ANSWERED, "section Methods, Models and Splits."),
    Item("12d", "Methods: analysis", "Say how differences between clusters, such as sites, were"
         " handled.", PARTLY, "sections Held out and Subgroups.", ("subgroups",)),
    Item("12e", "Methods: analysis", "Name every measure and plot of performance, and how models"
         " are compared.", ANSWERED, "section Methods, Scores to Subgroups."),
    Item("12f", "Methods: analysis", "Describe any updating of the model.", ANSWERED,
         "none was done."),
    Item("12g", "Methods: analysis", "Say how predictions were computed.", ANSWERED,
         "by the software of section Record; every prediction is in predictions.csv."),
    Item("13", "Methods: class imbalance", "Report methods against imbalance, if any.", ANSWERED,
         "none for hemoglobin; the sex probe weighs both sexes equally."),
    Item("14", "Methods: fairness", "Describe what was done about fairness, and why.", PARTLY,
         "scores and coverage by group, none suppressed but for small numbers: section Subgroups.",
         ("subgroups",)),
    Item("15", "Methods: output", "Say what the model returns, and where thresholds come from.",
         ANSWERED, "hemoglobin in g/dL with an interval; anemia by the WHO's limits of 2024, which"
         " no data of this run decided.", ("screening",)),
    Item("16", "Methods: training and evaluation", "Name differences between the data for"
         " development and for evaluation.", ANSWERED, "none but those of the splits: both are"
         " parts of one cohort."),
    Item("17", "Methods: ethics", "Name the ethics committee, and describe consent."),
    Item("18a", "Open science", "Name funding and the part of the funders."),
    Item("18b", "Open science", "Declare conflicts of interest."),
    Item("18c", "Open science", "Say where the protocol is, or that there is none.", PARTLY,
         "the protocol of the analysis is section Methods."),
    Item("18d", "Open science", "Give the registration, or say that there is none."),
    Item("18e", "Open science", "Say how data can be had."),
    Item("18f", "Open science", "Say how code can be had.", PARTLY,
         "versions, seed and command are in section Record."),
    Item("19", "Patient and public involvement", "Describe it, or say that there was none."),
    Item("20a", "Results: participants", "Show the flow of participants, with and without the"
         " outcome.", ANSWERED, "section Participants."),
    Item("20b", "Results: participants", "Describe the participants, overall and by source.",
         PARTLY, "hemoglobin in section Participants; sex, age, skin tone, camera and site in"
         " section Subgroups.", ("subgroups",)),
    Item("20c", "Results: participants", "Compare the evaluated with those of the development.",
         ANSWERED, "they are the same cohort."),
    Item("21", "Results: development", "Give participants and events of every analysis.", PARTLY,
         "{participants} participants; the parts that were held out are in section Held out, the"
         " anemic in section Anemia.", ("screening",)),
    Item("22", "Results: specification", "Give the full model, so that others can use it.", AUTHORS,
         "an evaluation keeps no model; pallor train writes one."),
    Item("23a", "Results: performance", "Give performance with intervals, in groups as well.",
         ANSWERED, "sections Models to Subgroups.", ("subgroups",)),
    Item("23b", "Results: performance", "Report differences between clusters, if examined.", PARTLY,
         "sections Held out and Subgroups (camera, site).", ("subgroups",)),
    Item("24", "Results: updating", "Report the results of updating.", ANSWERED, "none was done."),
    Item("25", "Discussion", "Interpret the results, fairness and earlier work included.", PARTLY,
         "section Summary says what follows from the intervals."),
    Item("26", "Discussion", "Discuss limitations.", PARTLY,
         "sections Controls, Sex in the features and Notes say what speaks against the result."),
    Item("27a", "Discussion: usability", "Say how poor or absent input is to be handled.", PARTLY,
         "section Quality shows whom a gate rejects.", ("quality",)),
    Item("27b", "Discussion: usability", "Say what users must do and know."),
    Item("27c", "Discussion: usability", "Name next steps for research."),
)  # fmt: skip
"""All subitems of the 27 items."""


def checklist(metrics: Mapping[str, Any]) -> Table:
    """Answer the checklist for one run.

    Parameters
    ----------
    metrics
        As in ``metrics.json``.
    """
    headline = words.find(metrics["models"], metrics["headline"])
    facts = {
        "participants": metrics["participants"],
        "protocol": words.protocol(metrics),
        "methods": words.listed(list(metrics["outcome"]["reference_methods"])) or "not stated",
        "modalities": "none" if headline is None else words.modalities(headline),
    }
    return Table(
        "tripod_ai",
        "TRIPOD+AI (Collins et al., BMJ 2024;385:e078378), items in our own words, and what this"
        " run can answer.",
        (
            Column("item", "Item"),
            Column("section", "Section"),
            Column("asks", "To report"),
            Column("status", "Status"),
            Column("answer", "Answer"),
        ),
        tuple(Row(_answered(item, metrics, facts)) for item in ITEMS),
    )


def _answered(
    item: Item, metrics: Mapping[str, Any], facts: Mapping[str, object]
) -> dict[str, Any]:
    status, answer = item.status, item.answer.format(**facts)
    reasons = [reason for key in item.needs if (reason := absent.reason(metrics, key))]
    if reasons:
        status, answer = AUTHORS, f"not in this run: {reasons[0]}"
    return {
        "item": item.number,
        "section": item.section,
        "asks": item.asks,
        "status": status,
        "answer": answer,
    }
