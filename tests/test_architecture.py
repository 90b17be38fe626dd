from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pallor

ROOT = Path(pallor.__file__).parent

# A wing may import itself and what stands after it; api and cli stand above all. The service
# stands beside report and evaluation: it serves models, and judges none.
ORDER = [
    "cli", "api", "service", "report", "evaluation", "models", "cohort", "features", "video",
    "weights", "anemia", "errors",
]  # fmt: skip
SIMULATION_MAY_USE = {"simulation", "errors", "_version", "cohort.table", "cohort.atomic"}
HEAVY = [
    "ai_edge_litert",
    "alembic",
    "av",
    "cv2",
    "fastapi",
    "matplotlib",
    "numpy",
    "onnx",
    "onnxruntime",
    "openvino",
    "pandas",
    "PIL",
    "prometheus_client",
    "psycopg",
    "pyarrow",
    "pydantic",
    "python_multipart",
    "scipy",
    "skimage",
    "sklearn",
    "skops",
    "sqlalchemy",
    "starlette",
    "uvicorn",
    "xgboost",
]


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            pytest.fail(f"{path} imports relatively; name the whole module")
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name.removeprefix("pallor.") for name in found if name.startswith("pallor.")}


def _files() -> list[Path]:
    return sorted(p for p in ROOT.rglob("*.py") if p.name not in {"__main__.py", "_version.py"})


@pytest.mark.parametrize("path", _files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    wing = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if wing in {"__init__", "simulation"}:
        return
    allowed = {*ORDER[ORDER.index(wing) :], "_version"}
    if wing == "service":
        allowed -= {"report", "evaluation"}
    if wing in {"cli", "api"}:
        allowed.add("simulation")
    used = {name.split(".")[0] for name in _imports(path)}
    assert used <= allowed, f"{wing} imports from above: {used - allowed}"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "simulation").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_simulation_stands_beside(path: Path) -> None:
    for name in _imports(path):
        parts = name.split(".")
        assert parts[0] in SIMULATION_MAY_USE or ".".join(parts[:2]) in SIMULATION_MAY_USE, name


def test_no_circle_within_a_wing() -> None:
    graph = {
        ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p
        for p in _files()
    }
    edges = {name: {i for i in _imports(p) if i in graph} - {name} for name, p in graph.items()}
    # Imports inside functions count too: a circle is a circle.
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name in done:
            return
        for other in sorted(edges[name]):
            visit(other, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("arguments", [["-c", "import pallor"], ["-m", "pallor", "--help"]])
def test_start_up_loads_no_heavy_library(arguments: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in run.stderr.splitlines()}
    assert not loaded & set(HEAVY)


def test_nothing_loads_a_pickle() -> None:
    for path in ROOT.rglob("*.py"):
        names = {
            node.id if isinstance(node, ast.Name) else node.attr
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Name | ast.Attribute)
        }
        assert not names & {"pickle", "joblib", "cloudpickle", "dill", "marshal", "eval", "exec"}, (
            path
        )


def test_what_users_import_is_there_in_any_order() -> None:
    code = (
        "import pallor; assert callable(pallor.features);"
        "import pallor.features.registry; assert callable(pallor.features);"
        "missing = [n for n in pallor.__all__ if getattr(pallor, n, None) is None];"
        "assert not missing, missing"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
