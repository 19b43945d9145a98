"""Build the wheel and the sdist, install the wheel where there is no torch, fit a CSV there and make its report.

    python tests/packaging/wheel.py

What `make wheel` runs: two minutes or so, with downloads, so no part of the suite. It ends with status 1 and one line
where something is missing. The working tree is copied first: setuptools leaves folders behind where it builds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("fitting", "training", "scripts")
NEEDED = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "constraints.txt", "configs", *ROOMS)
FURTHER = ("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "Makefile")
UNWANTED = ("tests/", "runs/", "docs/", "__pycache__/", "build/")
SIZES, BUDGETS = 7, (1e18, 1e19, 1e20, 1e21, 1e22)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="wheel-") as name:
        folder = Path(name)
        source = sources(folder / "source")
        run(sys.executable, "-m", "build", "--outdir", folder / "dist", source)
        wheel, sdist = (next((folder / "dist").glob(pattern)) for pattern in ("*.whl", "*.tar.gz"))
        check_names(source, wheel, sdist)
        bin_folder = installed(folder / "clean", wheel, source / "constraints.txt")
        check_answers(folder, bin_folder)
    print("the wheel and the sdist hold what they must, and the wheel fits and reports without torch")


def sources(folder: Path) -> Path:
    """The tree as it stands, without what git ignores."""
    folder.mkdir()
    for name in (*NEEDED, *FURTHER):
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.is_file() or name in NEEDED:
            shutil.copy(path, folder)
    return folder


def check_names(source: Path, wheel: Path, sdist: Path) -> None:
    """Every file of the rooms is in both, under its installed name in the wheel; nothing else of the tree is."""
    files = [
        path.relative_to(source).as_posix()
        for room in ROOMS
        for path in (source / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    in_wheel = set(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    missing = [f"{wheel.name}: isoflop/{file}" for file in files if f"isoflop/{file}" not in in_wheel]
    missing += [f"{sdist.name}: {file}" for file in files if file not in in_sdist]
    further = [name for name in FURTHER if (source / name).is_file()]
    missing += [f"{sdist.name}: {file}" for file in ("configs/demo.yaml", *further) if file not in in_sdist]
    if missing:
        sys.exit(f"{len(missing)} files are missing, first {missing[0]}")
    extra = [name for name in (*in_wheel, *in_sdist) if name.startswith(UNWANTED)]
    strange = [name for name in in_wheel if not name.startswith(("isoflop/", "isoflop-"))]
    if extra or strange:
        sys.exit(f"what is no part of a release: {', '.join((extra + strange)[:5])}")
    print(
        f"{wheel.name}: {len(in_wheel)} files, {wheel.stat().st_size / 1024:.0f} KiB; "
        f"{sdist.name}: {len(in_sdist)} files, {sdist.stat().st_size / 1024:.0f} KiB"
    )


def installed(folder: Path, wheel: Path, constraints: Path) -> Path:
    """The wheel alone, with what it depends on, in an environment of its own; the folder of its commands."""
    venv.create(folder, with_pip=True)
    commands = folder / ("Scripts" if os.name == "nt" else "bin")
    run(commands / "python", "-m", "pip", "install", "-q", "-c", constraints, wheel)
    return commands


def check_answers(folder: Path, commands: Path) -> None:
    """A CSV is fitted and reported by the installed command, and torch is not there."""
    rows = ["n_params,tokens,loss,flops"]
    for flops in BUDGETS:
        for i in range(SIZES):
            n = 0.6 * (flops / 6) ** 0.5 * 4 ** (2 * i / (SIZES - 1) - 1)
            d = flops / 6 / n
            rows.append(f"{n},{d},{1.69 + 406.4 / n**0.34 + 410.7 / d**0.28},{flops}")
    table = folder / "runs.csv"
    table.write_text("\n".join(rows) + "\n")
    without_torch = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is not None)"
    run(commands / "python", "-c", without_torch)
    said = run(commands / "isoflop", "fit", table, "--out", folder / "fit", "--resamples", "100", cwd=folder)
    print("\n".join(said.splitlines()[:12]))
    if not (folder / "fit" / "fit.json").is_file():
        sys.exit("isoflop fit wrote no fit.json")
    run(commands / "isoflop", "report", folder / "fit", cwd=folder)
    page = next((folder / "fit").rglob("report.html"), None)
    if page is None or page.stat().st_size < 50_000:
        sys.exit("isoflop report wrote no whole report.html")
    print(f"report.html: {page.stat().st_size / 2**20:.1f} MiB")


def run(*words: str | Path, cwd: Path | None = None) -> str:
    """Its standard output; the process ends with a line where the command fails."""
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, cwd=cwd, env=env)
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        sys.exit(
            f"{Path(words[0]).name} {' '.join(str(word) for word in words[1:4])} ended with {done.returncode}: {last}"
        )
    return done.stdout


if __name__ == "__main__":
    main()
