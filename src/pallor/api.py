"""The command line's verbs as Python functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from pallor.evaluation.result import Evaluation
    from pallor.models.model import Model
    from pallor.models.prediction import Estimate

Progress = Callable[[int, int, str], None]


def extract(
    cohort: str | Path,
    output: str | Path | None = None,
    *,
    modalities: Sequence[str] | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    wait_s: float = 600.0,
    progress: Progress | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """Extract features from every clip of a cohort table.

    Parameters
    ----------
    cohort
        Path or address (``s3://...``) of the cohort table, CSV or Parquet.
    output
        Folder of the feature table, kept for later and for resuming, or its address; without
        it nothing is left on disk.
    modalities
        Names of modalities; by default color and, where a clip allows it, pulse.
    workers
        Processes of this machine; 1 by default.
    scheduler
        Address of a Dask scheduler (``tcp://HOST:PORT``) whose workers measure instead.
    wait_s
        Longest time without any worker of the scheduler.
    progress
        Called with ``(done, total, clip)``.
    **settings
        As in :class:`pallor.features.settings.FeatureSettings`: ``precision``, ``weights``,
        ``files``, ``keep_frames``.

    Returns
    -------
    pandas.DataFrame
        One row a clip that could be read. ``table.attrs["extraction"]`` holds the settings;
        what failed is under its key ``failures``.

    Raises
    ------
    CohortError
        If the table has problems; the message lists them all.
    FeatureTableError
        If the output cannot be written, or the scheduler cannot be used; finished clips are
        kept.
    """
    from tempfile import TemporaryDirectory

    from pallor.cohort.extraction_places import extract_to
    from pallor.cohort.feature_table import load_features
    from pallor.cohort.table import read_cohort
    from pallor.features.settings import FeatureSettings

    choices = FeatureSettings(**settings)
    read = read_cohort(cohort)
    with TemporaryDirectory(prefix="pallor-") as scratch:
        result = extract_to(
            read,
            output if output is not None else Path(scratch) / "features",
            modalities=modalities,
            workers=workers,
            scheduler=scheduler,
            wait_s=wait_s,
            progress=progress,
            settings=choices,
        )
        return load_features(result.table.parent)


@dataclass(frozen=True)
class EvaluationResult:
    """An evaluation with the means to show it.

    Attributes
    ----------
    evaluation
        The figures as :func:`pallor.evaluation.protocol.evaluate` computed them.
    """

    evaluation: Evaluation

    @property
    def metrics(self) -> dict[str, Any]:
        """What ``metrics.json`` holds."""
        return self.evaluation.metrics

    @property
    def table(self) -> pd.DataFrame:
        """One row a model or baseline, with its scores and their intervals."""
        return self.evaluation.table

    @property
    def predictions(self) -> pd.DataFrame:
        """Out-of-fold predictions, one row a participant and session."""
        return self.evaluation.predictions

    def save(self, folder: str | Path) -> None:
        """Write ``metrics.json`` and ``predictions.csv``."""
        self.evaluation.save(Path(folder))

    def report(self, path: str | Path) -> Path:
        """Write the self-contained HTML report and return its path."""
        from pallor.report.html import write_report

        write_report(self.evaluation, Path(path))
        return Path(path)


def evaluate(
    table: pd.DataFrame | str | Path | Sequence[str | Path], **options: Any
) -> EvaluationResult:
    """Evaluate what an estimate from these features is worth.

    Parameters
    ----------
    table
        A feature table, or its path or address, or those of several; then only the features
        that ``modalities`` ask for are read. A cohort table gives the baselines alone.
    **options
        As in :func:`pallor.evaluation.protocol.evaluate`: ``group``, ``modalities``,
        ``regressors``, ``folds``, ``repeats``, ``seed``, ``quick``, ``workers``.
    """
    import pandas as pd

    from pallor.cohort.feature_table import read_table
    from pallor.evaluation.controls import SEEN
    from pallor.evaluation.protocol import evaluate as evaluate_table

    if not isinstance(table, pd.DataFrame):
        table = read_table(table, options.get("modalities"), also=SEEN)
    return EvaluationResult(evaluate_table(table, **options))


@dataclass(frozen=True)
class TrainedModel:
    """A trained model with the means to use and keep it.

    Attributes
    ----------
    model
        The estimator (scikit-learn's interface) with its intervals and its metadata.
    """

    model: Model

    @property
    def estimator(self) -> Any:
        """The fitted estimator; its ``predict`` takes a feature table."""
        return self.model.estimator

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the model was trained on, and how well it did in its own cross-validation."""
        return self.model.metadata

    def summary(self) -> str:
        """Say in one line what the model is."""
        return self.model.summary()

    def predict(self, clip: str | Path, **options: Any) -> Estimate:
        """Estimate the hemoglobin of a clip.

        Parameters
        ----------
        clip
            Path of a video or still, of the kind that the model was trained on.
        **options
            As in :func:`pallor.models.prediction.predict`: ``sex``, ``age_years``,
            ``coverage``, ``limits``, ``face_model``, ``precision``, ``backbone_files``.
        """
        from pallor.models.prediction import predict as predict_clip

        return predict_clip(self.model, clip, **options)

    def save(self, path: str | Path) -> Path:
        """Write the model file and return its path."""
        from pallor.models.bundle import save_model

        return save_model(self.model, Path(path))


def train(table: pd.DataFrame | str | Path | Sequence[str | Path], **options: Any) -> TrainedModel:
    """Train a model on a feature table.

    Parameters
    ----------
    table
        A feature table, or its path or address, or those of several; then only the features
        that ``modalities`` ask for are read.
    **options
        As in :func:`pallor.models.training.train`: ``regressor``, ``modalities``,
        ``demographics``, ``coverage``, ``seed``, ``quick``.
    """
    import pandas as pd

    from pallor.cohort.feature_table import load_features
    from pallor.models.training import train as train_model

    if not isinstance(table, pd.DataFrame):
        table = load_features(table, options.get("modalities"))
    return TrainedModel(train_model(table, **options))


def load_model(path: str | Path) -> TrainedModel:
    """Load a model file; an altered one is refused, and no pickle is ever loaded."""
    from pallor.models.bundle import load_model as load

    return TrainedModel(load(Path(path)))
