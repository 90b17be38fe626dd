"""Landmarks of pictures by MediaPipe, as a reference; runs outside of pallor.

Usage, with any Python that has mediapipe and numpy, best in a process without network
(``unshare -rn``), since mediapipe opens connections of its own accord::

    python landmark_reference.py face_landmarker.task OUT.json PICTURE.npy...

Pictures are (h, w, 3) uint8 RGB arrays. OUT.json holds mediapipe's version and for each
picture a list of 478 [x, y] in pixels (continuous, corner of the picture at 0, 0), or null.
"""

import json
import sys
from pathlib import Path

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision


def main(model: str, out: str, pictures: list[str]) -> None:
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_buffer=Path(model).read_bytes()),
        running_mode=vision.RunningMode.IMAGE,
        num_faces=1,
    )
    landmarks = {}
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        for picture in pictures:
            rgb = np.ascontiguousarray(np.load(picture))
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=rgb)
            faces = landmarker.detect(image).face_landmarks
            height, width = rgb.shape[:2]
            landmarks[Path(picture).stem] = (
                [[round(p.x * width, 3), round(p.y * height, 3)] for p in faces[0]]
                if faces
                else None
            )
    document = {"mediapipe": mediapipe.__version__, "landmarks": landmarks}
    Path(out).write_text(json.dumps(document), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
