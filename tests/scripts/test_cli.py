"""What every command shares: Ctrl-C ends in one line that is true of the command, help shows what was typed."""

import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from isoflop.scripts import cli, fit


@pytest.fixture
def ended(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[object, str]]:
    """The exit code of a call, and the last line that it said."""

    def call(function: Callable[..., None], *given: object, **words: object) -> tuple[object, str]:
        with pytest.raises(SystemExit) as stop:
            function(*given, **words)
        said = capsys.readouterr()
        return stop.value.code, (said.out + said.err).splitlines()[-1]

    return call


def interrupted() -> None:
    """Help."""
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("isoflop sweep", "the same command goes on from where it stopped"), ("isoflop report", "run it again")],
)
def test_ctrl_c_promises_to_go_on_only_where_that_is_so(
    ended: Callable[..., tuple[object, str]], name: str, remedy: str
) -> None:
    assert ended(cli.run, interrupted, [], name=name) == (130, f"error: interrupted; {remedy}")


def test_ctrl_c_while_a_command_imports_is_one_line() -> None:
    code = "import isoflop.scripts.cli\nraise KeyboardInterrupt"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode
    assert done.stderr == "error: interrupted; run it again\n"


def test_the_installed_command_has_a_version_and_its_own_example(
    ended: Callable[..., tuple[object, str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["isoflop", "--version"])
    assert ended(cli.main) == (0, f"isoflop {metadata.version('isoflop')}")
    for name in ("isoflop fit", None):
        with pytest.raises(SystemExit):
            cli.run(fit.main, ["--help"], name=name)
    installed, script = capsys.readouterr().out.split("Usage:")[1:]
    assert "Example: isoflop fit runs.csv" in installed
    assert "scripts/fit.py" not in installed
    assert "scripts/fit.py runs.csv" in script


def test_a_folder_for_figures_that_cannot_be_is_refused_before_anything_is_fitted(
    ended: Callable[..., tuple[object, str]], tmp_path: Path
) -> None:
    from isoflop.scripts import report

    (tmp_path / "runs.csv").write_text("n_params,tokens,loss\n1e6,1e8,3\n")
    words = [str(tmp_path / "runs.csv"), "--out", str(tmp_path / "page.html"), "--figures", "/proc/figures"]
    code, line = ended(cli.run, report.main, words)
    assert code == 2
    assert line.startswith("error: --figures /proc/figures: cannot be written in /proc")
    assert not (tmp_path / "page.html").exists()
