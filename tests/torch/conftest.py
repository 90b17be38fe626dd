from __future__ import annotations

import sys
import types
from importlib.util import find_spec

# Without torch nothing here may run `import torch`, not even to skip: this folder, found from
# the one above, would pass for an empty package of that name, and SciPy, which looks for
# `torch.Tensor` wherever a module torch is loaded, would fail in every test that follows.
collect_ignore_glob = [] if find_spec("torchvision") else ["test_*.py"]

# torchvision registers its compiled operators when it is imported, and fails where they were
# built for another torch. None of them is used here.
sys.modules.setdefault(
    "torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations")
)
