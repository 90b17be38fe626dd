"""A checkpoint as torchvision publishes it."""

from __future__ import annotations

from pallor.weights.weight_file import WeightFile


def torchvision_file(
    backbone: str, version: str, digits: str, max_bytes: int, sha256: str | None = None
) -> WeightFile:
    """Describe one of torchvision's checkpoints.

    Parameters
    ----------
    backbone
        As in the file name, such as ``resnet152``.
    version
        ``v2``, whose file has the backbone's own name, or ``v1``.
    digits
        The beginning of the hash, which the file name carries.
    max_bytes
        Nothing larger is read.
    sha256
        Of the whole file, where it is known.
    """
    file = f"{backbone}-{digits}.pth"
    return WeightFile(
        name=backbone if version == "v2" else f"{backbone}-{version}",
        file=file,
        url=f"https://download.pytorch.org/models/{file}",
        sha256=sha256,
        sha256_prefix=digits,
        max_bytes=max_bytes,
        license=(
            "BSD-3-Clause (torchvision); trained on ImageNet, whose terms ask for "
            "non-commercial research use of the images"
        ),
        publisher=f"torchvision, IMAGENET1K_{version.upper()}",
    )
