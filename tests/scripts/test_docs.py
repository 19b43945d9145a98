"""The pages: every block of code in them is run or says why not, every command parses, every link leads somewhere."""

from __future__ import annotations

import contextlib
import io
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import isoflop.fitting as fitting
from isoflop.fitting.errors import InputError
from isoflop.fitting.forecasting.stocks import load_stocks
from isoflop.fitting.readers.mapping import read_mapping
from isoflop.scripts import cli
from isoflop.training.config import load_config

from ..conftest import ROOT
from .doc_blocks import PLAIN_LANGUAGES, RUN_LANGUAGES, Block, blocks_of, calls_of, commands_and_output, documents
from .doc_commands import numbers, parse, parser_of, run
from .doc_scene import make_scene

BLOCKS = [block for path in documents() for block in blocks_of(path)]
TO_RUN = [block for block in BLOCKS if block.language in RUN_LANGUAGES and block.mark != "not run"]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which all blocks are run, in the pages' order."""
    return make_scene(tmp_path_factory.mktemp("checkout"))


def of(*languages: str) -> Any:
    """A test for each block of these languages."""
    chosen = [block for block in TO_RUN if block.language in languages]
    return pytest.mark.parametrize("block", chosen, ids=[block.name for block in chosen])


@of("sh", "console")
def test_commands_work_as_printed(block: Block, scene: Path) -> None:
    script, shown = commands_and_output(block) if block.language == "console" else (block.text, "")
    calls = calls_of(script, scene)
    assert calls, "nothing is called"
    printed = ""
    for call in calls:
        if block.only_parsed(str(call)):
            parse(call)
        else:
            printed += run(call)
    if shown and not block.mark:
        strange = numbers(shown) - numbers(printed)
        assert not strange, f"the page shows {sorted(strange)}, the commands print\n{printed}"


@of("python")
def test_python_runs(block: Block, scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(scene)
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(block.text, block.name, "exec"), {"__name__": "page"})


@of("yaml")
def test_yaml_is_what_its_reader_takes(block: Block, scene: Path) -> None:
    """A config or a part of one, a file that names columns, or stocks."""
    keys = set(yaml.safe_load(block.text))
    path = scene / "block.yaml"
    whole = keys & {"extends", "name"}
    path.write_text(block.text if whole else f"extends: configs/smoke.yaml\n{block.text}")
    if keys <= {"columns", "values"}:
        path.write_text(block.text)
        read_mapping(path)
    elif keys & {"fleets", "devices", "texts"}:
        path.write_text(block.text)
        load_stocks(path)
    else:
        load_config(path)


@pytest.mark.parametrize(
    "line",
    [
        "python scripts/sweep.py configs/demo.yaml --retry-faild",
        "python scripts/sweep.py configs/demo.yaml --set grid.seedz=2",
        "python scripts/sweep.py configs/dmo.yaml",
        "python scripts/sweeep.py configs/demo.yaml",
        "make demoo",
        "pip install '.[trian]'",
        "accelerate launch --config_file configs/accelerate/gpu.yaml scripts/run.py runs/mine ID",
        "frobnicate runs.csv",
    ],
)
def test_a_slip_in_a_line_that_is_only_parsed_is_found(line: str, scene: Path) -> None:
    with pytest.raises((AssertionError, InputError)):
        _ = [parse(call) for call in calls_of(line, scene)]


def test_every_block_is_run_or_is_plain() -> None:
    """Commands and Python do not hide in blocks that nothing runs."""
    for block in BLOCKS:
        assert block.language in (*RUN_LANGUAGES, *PLAIN_LANGUAGES), f"{block.name}: what is {block.language!r}?"
        if block.language in PLAIN_LANGUAGES:
            hidden = re.search(r"^(\$ |(python scripts/|isoflop |from isoflop|import isoflop))", block.text, re.M)
            assert not hidden, f"{block.name}: {hidden and hidden[0]!r} stands in a plain block"
    for path in documents():
        indented = re.search(r"^    (\$ )?(python scripts/|isoflop |from isoflop)", _outside_blocks(path), re.M)
        assert not indented, f"{path.name}: {indented and indented[0]!r} is code without a fence"


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _outside_blocks(path)):
        if target.startswith(("http://", "https://")):
            continue
        file, _, heading = target.partition("#")
        place = (path.parent / file).resolve() if file else path
        assert place.exists(), f"{path.name}: {target} leads nowhere"
        assert not heading or heading in _headings(place), f"{path.name}: {target}: no such heading"


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_options_and_names_in_sentences_exist(path: Path) -> None:
    """What stands in backquotes and looks like one of our files, options or names is one."""
    options = _options()
    for words in re.findall(r"`([^`\n]+)`", _outside_blocks(path)):
        first = words.split()[0]
        if re.fullmatch(r"(configs|docs|scripts|tests|fitting|training)/[\w./*-]+", first) and "*" not in first:
            assert (ROOT / first).exists() or (ROOT / f"{first}.py").exists(), f"{path.name}: there is no {first}"
        if re.fullmatch(r"(fit|load|analyse|runs|curves)_\w+(\(.*)?", first):
            assert hasattr(fitting, first.split("(")[0]), f"{path.name}: isoflop.fitting has no {first}"
        theirs = "" if words.startswith("python tests/") else words
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]+", theirs):
            assert option in options, f"{path.name}: no command has {option}"


def test_the_readme_shows_the_demo_that_is_kept() -> None:
    """Its excerpt has no number that docs/results/demo/output.txt has not."""
    excerpt = next(block for block in BLOCKS if block.path.name == "README.md" and block.language == "text")
    strange = numbers(excerpt.text) - numbers((ROOT / "docs/results/demo/output.txt").read_text())
    assert not strange, f"{excerpt.name}: the demo printed no {sorted(strange)}"


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert str(citation["version"]) == project["version"]
    assert citation["license"] == project["license"]
    assert re.search(rf"^## \[{re.escape(project['version'])}\]", (ROOT / "CHANGELOG.md").read_text(), re.M)


def _outside_blocks(path: Path) -> str:
    return re.sub(r"^( *)```.*?^ *```$", "", path.read_text(), flags=re.M | re.S)


def _headings(path: Path) -> set[str]:
    """The anchors that a page's headings have on GitHub."""
    titles = re.findall(r"^#+ (.+)$", _outside_blocks(path), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def _options() -> set[str]:
    """Every option of our commands, and those of others that the pages speak of."""
    ours = {option for name in cli.COMMANDS for parameter in parser_of(name).params for option in parameter.opts}
    accelerate = {"--config_file", "--num_processes", "--main_process_port", "--cpu"}
    slurm = {"--signal", "--exclude", "--install", "--wipe"}  # Slurm's own, and those of tests/slurm/one_node.sh
    return ours | accelerate | slurm | {"--debug", "--help", "--version"}
