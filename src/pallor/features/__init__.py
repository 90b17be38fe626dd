"""From a recording to named features.

The package is also the function ``pallor.features(recording, modalities)``: a module and a
function of one name cannot live side by side, and both names are the natural ones.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from pallor.video.recording import Recording


class _FeaturesModule(ModuleType):
    """A module that can be called."""

    def __call__(
        self,
        recording: Recording,
        modalities: Sequence[str] = ("color", "pulse"),
        **settings: Any,
    ) -> pd.Series:
        """Compute named features of a recording.

        Parameters
        ----------
        recording
            What :func:`pallor.record` returned.
        modalities
            Names of modalities; ``pallor features`` lists what each measures. Networks need a
            recording made with ``crops=True``.
        **settings
            As in :class:`pallor.features.settings.FeatureSettings`.

        Returns
        -------
        pandas.Series
            float32, indexed by feature name; NaN where undefined.

        Raises
        ------
        UsageError
            If a modality is unknown.
        ClipError
            If a modality is not defined for this kind of input.
        """
        import pandas as pd

        from pallor.features.registry import compute_features
        from pallor.features.settings import FeatureSettings

        values = compute_features(recording, list(modalities), FeatureSettings(**settings))
        return pd.Series(values, dtype="float32", name=recording.clip)


sys.modules[__name__].__class__ = _FeaturesModule
