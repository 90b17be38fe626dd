from __future__ import annotations

import sys
import types
from importlib.util import find_spec

# `make test-torch` makes the environment for these tests; elsewhere there are none.
collect_ignore_glob = [] if find_spec("torchvision") else ["test_*.py"]

# torchvision registers its compiled operators when it is imported, and fails where they were
# built for another torch. None of them is used here.
sys.modules.setdefault(
    "torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations")
)
