"""Arrays whose length is not known in advance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Growing:
    """Rows in one block of memory, where a list of parts would need it twice at the end.

    Parameters
    ----------
    shape
        Of one row.
    dtype
        Of its values.
    expected
        Rows to come, as far as is known. Memory is taken by those that come, and a block that
        need not be moved leaves no hole behind.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike, expected: int = 0) -> None:
        self._rows: NDArray[Any] = np.empty((expected + 64, *shape), dtype)
        self._count = 0

    def extend(self, rows: NDArray[Any]) -> None:
        """Add rows, ``(n, *shape)``."""
        end = self._count + len(rows)
        if end > len(self._rows):
            self._resize(max(end, 2 * len(self._rows)))
        self._rows[self._count : end] = rows
        self._count = end

    def finish(self) -> NDArray[Any]:
        """Return all rows, ``(rows, *shape)``, and be empty."""
        self._resize(self._count)
        rows, self._rows, self._count = self._rows, self._rows[:0].copy(), 0
        return rows

    def _resize(self, count: int) -> None:
        # No view of the block is ever given away before it is finished.
        self._rows.resize((count, *self._rows.shape[1:]), refcheck=False)
