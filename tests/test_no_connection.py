"""check, extract and predict open no connection: their system calls are looked at."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pallor.simulation.cohort import simulate_cohort
