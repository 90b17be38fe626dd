"""The many ways in which libraries say that there is no memory."""

from __future__ import annotations

_WORDS = (
    "insufficient memory",  # OpenCV
    "cannot allocate memory",  # the operating system
    "bad_alloc",  # the C++ library, through ONNX Runtime and XGBoost
    "unable to allocate",  # NumPy
    "failed to allocate",
    "failed to map segment",  # the loader of shared libraries
    "can't start new thread",  # no room for the stack of one
)


def is_memory_error(error: BaseException) -> bool:
    """Tell whether an error, or what it came from, is for want of memory.

    A reader that takes a failed allocation for a damaged file hides it in the cause.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        text = str(current).lower()
        if isinstance(current, MemoryError) or any(word in text for word in _WORDS):
            return True
        current = current.__cause__ or current.__context__
    return False
