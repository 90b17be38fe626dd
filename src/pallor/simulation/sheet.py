"""A contact sheet of simulated faces, to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pallor.cohort.atomic import write_bytes
from pallor.simulation.camera import Camera
from pallor.simulation.draw import EXPOSURE
from pallor.simulation.encoding import STAMP
from pallor.simulation.face import draw_looks, make_face
from pallor.simulation.physiology import Person, draw_constitution, person_in_session
from pallor.simulation.presets import PRESETS
from pallor.simulation.rendering import make_scene, render


def _person(melanin: float, hemoglobin_g_dl: float) -> Person:
    """Someone average, but for melanin and hemoglobin."""
    preset = replace(PRESETS["easy"], blood_cv=1e-9, melanin_sigma=1e-9)
    rng = np.random.default_rng(0)
    drawn = draw_constitution(rng, preset, "female", sex_cue=False)
    made = replace(drawn, melanin=melanin, hemoglobin_g_dl=hemoglobin_g_dl)
    return person_in_session(made, preset, rng, rng, 0)


def contact_sheet(
    path: Path,
    *,
    melanin: Sequence[float] = (0.015, 0.05, 0.12, 0.25),
    hemoglobin_g_dl: Sequence[float] = (6.0, 9.0, 12.0, 15.0, 17.5),
    sensor: str = "nikon_d5100",
    light: str = "d65",
    size: int = 320,
    seed: int = 0,
) -> Path:
    """Render faces across melanin (down) and hemoglobin (across) into one PNG.

    Anemia constricts the vessels of these faces as in the preset ``easy``.

    Parameters
    ----------
    path
        Where to write; the PNG's comment says that it is simulated.
    melanin
        Melanosome fractions of the rows.
    hemoglobin_g_dl
        Hemoglobins of the columns.
    sensor, light
        See `camera.Camera`.
    size
        Pixels of each face.
    seed
        Seed of the looks; each face has its own.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    import io

    from PIL import Image, PngImagePlugin

    camera = Camera(sensor, light, exposure=EXPOSURE)
    rows = []
    for row, fraction in enumerate(melanin):
        cells = []
        for column, hemoglobin in enumerate(hemoglobin_g_dl):
            rng = np.random.default_rng([seed, row, column])
            face = make_face(draw_looks(rng, ("female", "male")[column % 2]), size)
            scene = make_scene(_person(fraction, hemoglobin), face, camera)
            rest = {name: np.zeros(1) for name in scene.responses}
            cells.append(next(render(scene, rest, np.zeros((1, 3)), rng)))
        rows.append(np.hstack(cells))
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", f"{STAMP} by pallor")
    buffer = io.BytesIO()
    Image.fromarray(np.vstack(rows)).save(buffer, format="PNG", pnginfo=info)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, buffer.getvalue())
    return path
