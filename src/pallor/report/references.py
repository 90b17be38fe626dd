"""What the methods cite: ``@key`` in a text becomes the short form, and the list the long one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

_CITED: Final = re.compile(r"@([a-z]+\d{4}[a-z]?)")

REFERENCES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "barber2021": (
            "Barber et al. 2021",
            "Barber RF, Candès EJ, Ramdas A, Tibshirani RJ. Predictive inference with the"
            " jackknife+. Ann Stat 2021;49:486-507. doi 10.1214/20-AOS1965",
        ),
        "berger1982": (
            "Berger 1982",
            "Berger RL. Multiparameter hypothesis testing and acceptance sampling. Technometrics"
            " 1982;24:295-300. doi 10.1080/00401706.1982.10487790",
        ),
        "bland1986": (
            "Bland and Altman 1986",
            "Bland JM, Altman DG. Statistical methods for assessing agreement between two methods"
            " of clinical measurement. Lancet 1986;327:307-310. doi 10.1016/S0140-6736(86)90837-8",
        ),
        "bland1999": (
            "Bland and Altman 1999",
            "Bland JM, Altman DG. Measuring agreement in method comparison studies. Stat Methods"
            " Med Res 1999;8:135-160. doi 10.1177/096228029900800204",
        ),
        "bland2007": (
            "Bland and Altman 2007",
            "Bland JM, Altman DG. Agreement between methods of measurement with multiple"
            " observations per individual. J Biopharm Stat 2007;17:571-582."
            " doi 10.1080/10543400701329422",
        ),
        "bostrom2022": (
            "Boström 2022",
            "Boström H. crepes: a Python package for generating conformal regressors and"
            " predictive systems. Proc Mach Learn Res 2022;179:24-41",
        ),
        "breiman1996": (
            "Breiman 1996",
            "Breiman L. Stacked regressions. Mach Learn 1996;24:49-64. doi 10.1007/BF00117832",
        ),
        "breiman2001": (
            "Breiman 2001",
            "Breiman L. Random forests. Mach Learn 2001;45:5-32. doi 10.1023/A:1010933404324",
        ),
        "chardon1991": (
            "Chardon et al. 1991",
            "Chardon A, Cretois I, Hourseau C. Skin colour typology and suntanning pathways. Int J"
            " Cosmet Sci 1991;13:191-208. doi 10.1111/j.1467-2494.1991.tb00561.x",
        ),
        "chen2016": (
            "Chen and Guestrin 2016",
            "Chen T, Guestrin C. XGBoost: a scalable tree boosting system. Proc 22nd ACM SIGKDD"
            " 2016:785-794. doi 10.1145/2939672.2939785",
        ),
        "clopper1934": (
            "Clopper and Pearson 1934",
            "Clopper CJ, Pearson ES. The use of confidence or fiducial limits illustrated in the"
            " case of the binomial. Biometrika 1934;26:404-413. doi 10.1093/biomet/26.4.404",
        ),
        "collins2024": (
            "Collins et al. 2024",
            "Collins GS, Moons KGM, Dhiman P, et al. TRIPOD+AI statement: updated guidance for"
            " reporting clinical prediction models that use regression or machine learning"
            " methods. BMJ 2024;385:e078378. doi 10.1136/bmj-2023-078378",
        ),
        "delbino2013": (
            "Del Bino and Bernerd 2013",
            "Del Bino S, Bernerd F. Variations in skin colour and the biological consequences of"
            " ultraviolet radiation exposure. Br J Dermatol 2013;169(s3):33-40."
            " doi 10.1111/bjd.12529",
        ),
        "efron1993": (
            "Efron and Tibshirani 1993",
            "Efron B, Tibshirani RJ. An introduction to the bootstrap. Chapman & Hall, New York"
            " 1993",
        ),
        "fawcett2006": (
            "Fawcett 2006",
            "Fawcett T. An introduction to ROC analysis. Pattern Recognit Lett 2006;27:861-874."
            " doi 10.1016/j.patrec.2005.10.010",
        ),
        "fisher2019": (
            "Fisher et al. 2019",
            "Fisher A, Rudin C, Dominici F. All models are wrong, but many are useful: learning a"
            " variable's importance by studying an entire class of prediction models"
            " simultaneously. J Mach Learn Res 2019;20(177):1-81",
        ),
        "geifman2019": (
            "Geifman et al. 2019",
            "Geifman Y, Uziel G, El-Yaniv R. Bias-reduced uncertainty estimation for deep neural"
            " classifiers. International Conference on Learning Representations 2019;"
            " arXiv 1805.08206",
        ),
        "gunes2026": (
            "Güneş et al. 2026",
            "Güneş A, Bal U, Beyhan S. Deep multi-modal features based spatio-temporal video"
            " regression for non-invasive hemoglobin estimation. Med Biol Eng Comput 2026."
            " doi 10.1007/s11517-026-03618-9",
        ),
        "lei2018": (
            "Lei et al. 2018",
            "Lei J, G'Sell M, Rinaldo A, Tibshirani RJ, Wasserman L. Distribution-free predictive"
            " inference for regression. J Am Stat Assoc 2018;113:1094-1111."
            " doi 10.1080/01621459.2017.1307116",
        ),
        "lin1989": (
            "Lin 1989",
            "Lin LI. A concordance correlation coefficient to evaluate reproducibility."
            " Biometrics 1989;45:255-268. doi 10.2307/2532051",
        ),
        "lundberg2020": (
            "Lundberg et al. 2020",
            "Lundberg SM, Erion G, Chen H, et al. From local explanations to global understanding"
            " with explainable AI for trees. Nat Mach Intell 2020;2:56-67."
            " doi 10.1038/s42256-019-0138-9",
        ),
        "olofsen2015": (
            "Olofsen et al. 2015",
            "Olofsen E, Dahan A, Borsboom G, Drummond G. Improvements in the application and"
            " reporting of advanced Bland-Altman methods of comparison. J Clin Monit Comput"
            " 2015;29:127-139. doi 10.1007/s10877-014-9577-3",
        ),
        "parker2007": (
            "Parker et al. 2007",
            "Parker BJ, Günter S, Bedo J. Stratification bias in low signal microarray studies."
            " BMC Bioinformatics 2007;8:326. doi 10.1186/1471-2105-8-326",
        ),
        "pedregosa2011": (
            "Pedregosa et al. 2011",
            "Pedregosa F, Varoquaux G, Gramfort A, et al. Scikit-learn: machine learning in"
            " Python. J Mach Learn Res 2011;12:2825-2830",
        ),
        "phipson2010": (
            "Phipson and Smyth 2010",
            "Phipson B, Smyth GK. Permutation P-values should never be zero: calculating exact"
            " P-values when permutations are randomly drawn. Stat Appl Genet Mol Biol 2010;9:39."
            " doi 10.2202/1544-6115.1585",
        ),
        "steyerberg2019": (
            "Steyerberg 2019",
            "Steyerberg EW. Clinical prediction models: a practical approach to development,"
            " validation, and updating. 2nd edition. Springer, Cham 2019."
            " doi 10.1007/978-3-030-16399-0",
        ),
        "varma2006": (
            "Varma and Simon 2006",
            "Varma S, Simon R. Bias in error estimation when using cross-validation for model"
            " selection. BMC Bioinformatics 2006;7:91. doi 10.1186/1471-2105-7-91",
        ),
        "vickers2006": (
            "Vickers and Elkin 2006",
            "Vickers AJ, Elkin EB. Decision curve analysis: a novel method for evaluating"
            " prediction models. Med Decis Making 2006;26:565-574. doi 10.1177/0272989X06295361",
        ),
        "vovk2005": (
            "Vovk et al. 2005",
            "Vovk V, Gammerman A, Shafer G. Algorithmic learning in a random world. Springer, New"
            " York 2005. doi 10.1007/b106715",
        ),
        "who2024": (
            "WHO 2024",
            "World Health Organization. Guideline on haemoglobin cutoffs to define anaemia in"
            " individuals and populations. Geneva 2024. ISBN 978-92-4-008854-2",
        ),
    }
)
"""Key to short and long form."""


def cite(text: str) -> str:
    """Put the short form for every ``@key`` that is known; others stay as they are."""
    return _CITED.sub(
        lambda found: REFERENCES[found[1]][0] if found[1] in REFERENCES else found[0], text
    )


def cited(texts: Iterable[str]) -> list[str]:
    """List the long form of all that the texts cite, in alphabetical order, each once."""
    keys = {key for text in texts for key in _CITED.findall(text) if key in REFERENCES}
    return [REFERENCES[key][1] for key in sorted(keys)]
