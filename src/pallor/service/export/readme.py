"""The text that tells what an export holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pallor.service.disclaimers import RESEARCH_ONLY_SHORT

if TYPE_CHECKING:
    from pallor.service.export.contents import Tally

_TEXT = """\
An export of a study, made by pallor.
{notice}

These are videos and health data of people, without names but recognizable: keep them where only
those can read them who may, and delete the clips of who withdraws.

    pallor extract cohort.csv -o features        every clip to one row of features
    pallor evaluate features -o run              what estimates from them are worth

Participants of the study                        {participants:>6}
  in this export                                 {exported:>6}
  without a clip yet                             {without_clip:>6}
  who have not agreed that videos are kept       {without_consent:>6}
  whose clips could not be read any more         {gone:>6}
Clips in this export                             {clips:>6}
  that are simulated                             {simulated_clips:>6}
Clips that could not be read any more            {clips_gone:>6}

{codes}cohort.csv: one row a clip
  participant_id         code that the study chose
  clip                   path of the clip beside this file
  session                visit
  camera, site           where they are known
  hemoglobin_g_dl        reference value of the visit, g/dL: of several the one measured nearest
                         to the visit, venous blood before others, then the one entered last
  reference_method       how it was measured: venous_cbc, capillary_poc, spco_oximeter, simulated
  hemoglobin_days_apart  days between the visit and the measurement, where both dates are known
  sex, age_years, pregnancy, altitude_m, smoking
                         as entered; pregnancy at the visit, where that is known
  simulated              true: the clip is rendered, no recording of a person
  usable                 whether a pulse can be read in the clip; empty: not known yet

hemoglobin_values.csv: one row a reference value, also those that do not count
  value, unit            as entered
  days_apart             from the visit, where both dates are known
  chosen                 whether it is the one that cohort.csv holds

There are no calendar dates in the tables. The files of the clips are as they arrived: cameras
may write dates and places into them.
"""

_SIMULATED = (
    "SIMULATED: clips of this study were rendered; no figure from those says anything about people."
)


def readme(tally: Tally) -> bytes:
    """Return the text, in UTF-8.

    Parameters
    ----------
    tally
        Who is in the export, and who is not.
    """
    missing = {
        "Without a clip yet": tally.without_clip,
        "Not agreed that videos are kept": tally.without_consent,
        "Clips could not be read any more": tally.gone,
    }
    codes = "".join(f"{words}: {', '.join(found)}\n" for words, found in missing.items() if found)
    text = _TEXT.format(
        **tally.counts(),
        notice=f"{_SIMULATED}\n{RESEARCH_ONLY_SHORT}" if tally.simulated else RESEARCH_ONLY_SHORT,
        codes=codes and f"{codes}\n",
    )
    return text.encode()
