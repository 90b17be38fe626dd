"""What the tests of checkpoints, whole and hostile, have in common."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import settings

from checkpoint_writer import SAVE
from pallor.errors import WeightsError
from pallor.weights.checkpoint import read_checkpoint

NAME = "net.pth"
both_formats = pytest.mark.parametrize("save", SAVE.values(), ids=SAVE)
bounded = settings(deadline=timedelta(seconds=5), max_examples=300)


def refused(content: bytes, words: str | None = None) -> str:
    """Read what must be refused; return the message, which must be one short line."""
    with pytest.raises(WeightsError, match=words) as caught:
        read_checkpoint(content, NAME)
    text = str(caught.value)
    assert text.startswith(NAME)
    assert "\n" not in text
    assert len(text) < 600
    return text
