"""The command line as a whole: help, exit codes, no traceback for what a user can mend."""

import os
import subprocess
import sys
from typing import Any, List, Tuple

import pytest

import edge
from edge import errors
from edge.cli import COMMANDS, main
from edge.cli.progress import Progress
from tests.edge.helpers import ROOT


def carcloud(*arguments: str, **environ: str) -> Tuple[int, str, str]:
    """Run ``python -m edge`` in a process; exit code, stdout, stderr."""
    process = subprocess.Popen(
        [sys.executable, "-m", "edge"] + list(arguments),
        cwd=ROOT,
        env=dict(os.environ, **environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = process.communicate(timeout=60)
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("command", [name.rsplit(".", 1)[1] for name in COMMANDS])
def test_every_command_explains_itself_with_examples(command: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0 and "examples:" in text and "carcloud %s" % command in text


def test_the_help_lists_every_command(capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    for name in COMMANDS:
        assert "\n    " + name.rsplit(".", 1)[1] in text


def test_python_m_edge_is_the_command_line() -> None:
    assert carcloud("--version") == (0, "carcloud %s\n" % edge.__version__, "")


@pytest.mark.parametrize("arguments", [[], ["fly"], ["bench", "--fly"]])
def test_a_wrong_command_line_is_two(arguments: List[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2 and "usage: carcloud" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, code, sentence",
    [
        (["bench", "--bundle", "nowhere"], errors.BundleError.exit_code, "error: no bundle at nowhere"),
        (["bench", "--frames", "0"], errors.SettingsError.exit_code, "error: --frames must be from 1 to 100000"),
        (
            ["reconstruct", "nope.jpg", "--out", "x"],
            errors.SourceError.exit_code,
            "error: there is no file nope.jpg; give the path of a picture, or of a folder of them\n",
        ),
        (["reconstruct", "nope.jpg"], errors.SettingsError.exit_code, "error: nowhere to write; add --out DIR"),
        (["doctor", "--port", "x"], errors.SettingsError.exit_code, 'error: flag --port: port is "x"; it must be'),
    ],
)
def test_an_error_is_a_sentence_and_an_exit_code(arguments: List[str], code: int, sentence: str, capsys: Any) -> None:
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert captured.err.startswith(sentence) and captured.out == "" and captured.err.count("\n") == 1


def test_exit_codes_tell_the_errors_apart() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.CarcloudError)
    ]
    codes = {kind.exit_code for kind in kinds if kind is not errors.ImageError}
    assert len(codes) == len(kinds) - 1 and 0 not in codes


def test_environment_variables_reach_the_commands() -> None:
    code, out, err = carcloud("doctor", "--print-config", CARCLOUD_PORT="1234", CARCLOUD_THREADS="3")
    assert code == 0 and '"port": 1234' in out and '"threads": 3' in out
    code, out, err = carcloud("doctor", CARCLOUD_PROT="1234")
    assert (code, out) == (2, "") and err.startswith("error: environment variable CARCLOUD_PROT: unknown setting prot")


def test_a_reader_that_left_is_no_traceback() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", "bench", "--print-config"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait(60) == 141
    process.stderr.close()


def test_only_the_command_asked_for_is_loaded() -> None:
    # doctor must start where NumPy or Flask do not.
    code = "import sys; from edge.cli import build_parser, _wanted; build_parser(_wanted(['doctor'])); "
    code += "print(sorted({'numpy', 'cv2', 'flask', 'onnxruntime'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT).decode().strip() == "[]"


class Terminal:
    """A text stream that may claim to be a terminal."""

    def __init__(self, terminal: bool) -> None:
        self.text = ""
        self._terminal = terminal

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return self._terminal


def test_progress_is_a_bar_on_a_terminal() -> None:
    stream: Any = Terminal(True)
    progress = Progress(4, "work", stream)
    progress.update(1, "a.jpg")
    assert stream.text.startswith("\r\033[Kwork [#######.....................] 1/4 ") and "a.jpg" in stream.text
    progress.say("failed: b.jpg")
    progress.update(4)
    assert stream.text.count("\n") == 2 and "4/4 in " in stream.text


def test_an_unfinished_bar_ends_its_line() -> None:
    stream: Any = Terminal(True)
    progress = Progress(4, "work", stream)
    progress.update(1)
    progress.close()
    progress.close()
    assert stream.text.endswith("\n") and stream.text.count("\n") == 1


def test_progress_is_plain_lines_in_a_pipe() -> None:
    stream: Any = Terminal(False)
    progress = Progress(3, "work", stream)
    for done in (1, 2, 3):
        progress.update(done)
    assert stream.text.startswith("work 3/3 in ") and stream.text.count("\n") == 1 and "\r" not in stream.text
