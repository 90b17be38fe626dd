"""Landmarks of pictures by MediaPipe, as a reference; runs outside of pallor.

Usage, with any Python that has mediapipe and numpy, best in a process without network
(``unshare -rn``), since mediapipe opens connections of its own accord::

    python landmark_reference.py face_landmarker.task OUT.json PICTURE.npy...

A picture is an (h, w, 3) uint8 RGB array; an (n, h, w, 3) array is a sequence at 30 frames a
second, through which the face is tracked. OUT.json holds mediapipe's version and for each
picture a list of 478 [x, y] in pixels (continuous, corner of the picture at 0, 0), or null;
for a sequence a list of such.
"""

import json
import sys
from pathlib import Path

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision


def points(result: vision.FaceLandmarkerResult, rgb: np.ndarray) -> list | None:
    height, width = rgb.shape[:2]
    for face in result.face_landmarks:
        return [[round(p.x * width, 3), round(p.y * height, 3)] for p in face]
    return None


def landmarks(model: bytes, rgb: np.ndarray) -> list | None:
    modes = vision.RunningMode
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_buffer=model),
        running_mode=modes.IMAGE if rgb.ndim == 3 else modes.VIDEO,
        num_faces=1,
    )

    def image(frame: np.ndarray) -> mediapipe.Image:
        data = np.ascontiguousarray(frame)
        return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=data)

    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        if rgb.ndim == 3:
            return points(landmarker.detect(image(rgb)), rgb)
        return [
            points(landmarker.detect_for_video(image(frame), round(i * 1000 / 30)), frame)
            for i, frame in enumerate(rgb)
        ]


def main(model: str, out: str, pictures: list[str]) -> None:
    content = Path(model).read_bytes()
    found = {Path(name).stem: landmarks(content, np.load(name)) for name in pictures}
    document = {"mediapipe": mediapipe.__version__, "landmarks": found}
    Path(out).write_text(json.dumps(document), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
