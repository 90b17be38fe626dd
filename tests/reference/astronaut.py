"""The public-domain portrait of scikit-image, as it is and transformed.

Run as a script it writes MediaPipe's landmarks of all versions to
``astronaut_landmarks.json``::

    python tests/reference/astronaut.py PYTHON_WITH_MEDIAPIPE face_landmarker.task
"""

import json
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import skimage.data

HERE = Path(__file__).resolve().parent
REFERENCE = HERE / "astronaut_landmarks.json"
COMMAND = "unshare -rn PYTHON tests/reference/landmark_reference.py face_landmarker.task OUT NPY..."


def rotation(degrees: float, width: int, height: int) -> np.ndarray:
    """(2, 3) map of continuous coordinates, about the middle, clockwise in the picture."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    linear = np.array([[c, -s], [s, c]])
    middle = np.array([width / 2, height / 2])
    return np.column_stack([linear, middle - linear @ middle])


def move(rgb: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Move a picture by a map of continuous coordinates, same size, edges repeated."""
    centers = matrix.copy()
    centers[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
    size = rgb.shape[1::-1]
    return cv2.warpAffine(
        rgb, centers, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


def versions() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Picture, and the (2, 3) map from the original's coordinates to its own."""
    rgb = skimage.data.astronaut()
    height, width = rgb.shape[:2]
    turned = {f"rotated_{d:+d}": rotation(d, width, height) for d in (15, -15)}
    shift = np.array([[1.0, 0, 80], [0, 1, 60]])
    halved = rgb.reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3)).round()
    return {
        "original": (rgb, np.eye(2, 3)),
        **{name: (move(rgb, matrix), matrix) for name, matrix in turned.items()},
        "shifted": (np.pad(rgb, ((60, 0), (80, 0), (0, 0)), mode="edge"), shift),
        "halved": (halved.astype(np.uint8), np.eye(2, 3) * 0.5),
        "doubled": (
            cv2.resize(rgb, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC),
            np.eye(2, 3) * 2,
        ),
    }


def main(python: str, model: str) -> None:
    import subprocess

    with tempfile.TemporaryDirectory() as folder:
        pictures = []
        for name, (rgb, _) in versions().items():
            pictures.append(str(Path(folder) / f"{name}.npy"))
            np.save(pictures[-1], rgb)
        out = Path(folder) / "out.json"
        script = str(HERE / "landmark_reference.py")
        command = ["unshare", "-rn", python, script, model, str(out), *pictures]
        subprocess.run(command, check=True)
        document = json.loads(out.read_text(encoding="utf-8"))
    document = {
        "picture": "skimage.data.astronaut(), public domain",
        "command": COMMAND,
        **document,
    }
    text = json.dumps(document).replace('"landmarks": {', '"landmarks": {\n')
    for name in list(document["landmarks"])[1:]:
        text = text.replace(f', "{name}": ', f',\n"{name}": ')
    REFERENCE.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
