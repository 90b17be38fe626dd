"""What an instance of the service is told at its start."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class UploadLimits:
    """Largest clip that is accepted.

    Attributes
    ----------
    max_bytes
        Size of the file, enforced while it arrives.
    max_duration_s
        Length in seconds, enforced while it is decoded.
    max_pixels
        Width times height of a frame or still.
    """

    max_bytes: int = 500 * 2**20
    max_duration_s: float = 120.0
    max_pixels: int = 3840 * 2160


@dataclass(frozen=True)
class ServiceSettings:
    """Settings of one instance.

    Attributes
    ----------
    data
        Folder of everything that is kept, for its owner alone.
    database_url
        ``sqlite:///...`` or ``postgresql://...``; ``pallor.db`` in ``data`` by default.
    models
        Model files; an estimate uses the first unless it names another.
    model_ids
        Of those files, as the server read them; empty where nobody has.
    workers
        Processes that work on jobs.
    limits
        Of an upload.
    job_time_limit_s
        Wall-clock seconds after which a job is killed and failed.
    job_memory_bytes
        Address space that a job may take beyond what the idle worker holds.
    keep_results_s
        Seconds after which a finished job is forgotten with its result.
    face_model
        Landmark model file; searched for when not given.
    host, port
        Where the service listens.
    behind_proxy
        A proxy in front of it speaks TLS.
    tls_cert, tls_key
        Certificate chain and key, PEM.
    consent
        Folder with the consent texts of the study, ``LANGUAGE.txt``; templates when not given.
    """

    data: Path
    database_url: str | None = None
    models: tuple[Path, ...] = ()
    model_ids: tuple[str, ...] = ()
    workers: int = 1
    limits: UploadLimits = field(default_factory=UploadLimits)
    job_time_limit_s: float = 300.0
    job_memory_bytes: int = 2 * 2**30
    keep_results_s: float = 24 * 3600.0
    face_model: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    behind_proxy: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    consent: Path | None = None

    @property
    def database_file(self) -> Path:
        """File of the database, unless another is given."""
        return self.data / "pallor.db"

    @property
    def url(self) -> str:
        """URL of the database."""
        return self.database_url or f"sqlite:///{self.database_file.absolute()}"

    @property
    def instance_file(self) -> Path:
        """File with the id that the data folder shares with its database."""
        return self.data / "instance"

    @property
    def uploads(self) -> Path:
        """Folder of the clips that wait for their job."""
        return self.data / "uploads"

    @property
    def clips(self) -> Path:
        """Folder of the clips that a study keeps."""
        return self.data / "clips"
