"""What a worker is told at its start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pallor.service.settings import ServiceSettings, UploadLimits


@dataclass(frozen=True)
class WorkerOrders:
    """Orders of one worker. They go through its standard input: the URL may hold a password.

    Attributes
    ----------
    worker_id
        Unique to the process.
    work
        By kind of job, ``module:function`` that makes the function which does it.
    settings
        Of the service.
    """

    worker_id: str
    work: Mapping[str, str]
    settings: ServiceSettings

    def to_json(self) -> str:
        """Return the orders as one line."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, line: str) -> WorkerOrders:
        """Read what `to_json` wrote."""
        document = json.loads(line)
        values = document["settings"]
        values["limits"] = UploadLimits(**values["limits"])
        values["models"] = tuple(map(Path, values["models"]))
        values["model_ids"] = tuple(values["model_ids"])
        for name in ("data", "face_model", "tls_cert", "tls_key", "consent"):
            values[name] = None if values[name] is None else Path(values[name])
        return cls(document["worker_id"], document["work"], ServiceSettings(**values))
