"""scripts/flash on image files, a loop device, and disks of a made-up sysfs: what is written, and what is refused."""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.repository import ROOT

SCRIPT = ROOT / "scripts" / "flash"
WRITER = ROOT / "scripts" / "device" / "write_image.py"
MARKER = b"carcloud scripts/flash: this card is not complete."
FAILED, WRONG, REFUSED, INCOMPLETE = 1, 2, 3, 4
MIB = 1 << 20
GB = 10**9
#: The Python that runs the tests is found first: a shim in its place costs more than all the rest.
ENVIRONMENT = dict(os.environ, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def call(*arguments: object, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, input=typed, env=ENVIRONMENT)


def sum_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def content() -> bytes:
    """A small image, no block of which is like another; its length is no multiple of a chunk or a MiB."""
    return b"".join(number.to_bytes(16, "big") * 32 for number in range(10 * 1024 + 3))


@pytest.fixture
def image(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "nano.img"
    path.write_bytes(content)
    return path


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A file of 7 MiB that is no card."""
    path = tmp_path / "card"
    path.write_bytes(b"\xa5" * (7 * MIB))
    return path


# --- the whole way, on files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["img", "img.xz", "zip"])
def test_an_image_is_on_the_card_byte_for_byte(image: Path, card: Path, content: bytes, kind: str) -> None:
    packed = image
    if kind == "img.xz":
        packed = image.with_suffix(".img.xz")
        packed.write_bytes(lzma.compress(content, preset=0))
    elif kind == "zip":
        packed = image.with_suffix(".zip")
        with zipfile.ZipFile(packed, "w") as archive:
            archive.write(image, "nano.img")
            archive.writestr("README", "read me")
    for _ in range(2):
        done = call(packed, "--sha256", sum_of(packed), "--device", card, "--file", "--yes", "card")
        assert done.returncode == 0, done.stderr
        written = card.read_bytes()
        assert written[: len(content)] == content
        assert written[-MIB:] == bytes(MIB), "an old partition table's copy is left at the end"
        assert written[len(content) : -MIB] == b"\xa5" * (len(written) - MIB - len(content))
    assert "NOT A CARD" in done.stdout
    assert "reading back" in done.stderr
    assert "was read back" in done.stdout


def test_the_name_is_typed_back(image: Path, card: Path, content: bytes) -> None:
    flags = (image, "--sha256", sum_of(image), "--device", card, "--file")
    before = card.read_bytes()
    for typed, words in [("", "nothing was typed"), ("y\n", '"y" is not "card"')]:
        refused = call(*flags, typed=typed)
        assert refused.returncode == REFUSED
        assert words in refused.stderr
    refused = call(*flags, "--yes", "sdb")
    assert refused.returncode == REFUSED
    assert card.read_bytes() == before
    assert call(*flags, typed="card\n").returncode == 0
    assert card.read_bytes()[: len(content)] == content


def test_a_file_of_checksums_names_the_image(image: Path, card: Path) -> None:
    sums = image.with_name("SHA256SUMS")
    sums.write_text(f"{'0' * 64}  other.img\n{sum_of(image).upper()} *nano.img\n")
    flags = (image, "--sums", sums, "--device", card, "--file", "--yes", "card")
    assert call(*flags).returncode == 0
    sums.write_text(f"{'0' * 64}  other.img\n")
    silent = call(*flags)
    assert silent.returncode == FAILED
    assert "names no nano.img" in silent.stderr


def test_a_wrong_checksum_stops_before_the_card(image: Path, card: Path) -> None:
    before = card.read_bytes()
    wrong = call(image, "--sha256", "0" * 64, "--device", card, "--file", "--yes", "card")
    assert wrong.returncode == FAILED
    assert "instead of 0000" in wrong.stderr and "Download it again" in wrong.stderr
    assert card.read_bytes() == before


def test_unverified_is_said_aloud(image: Path, card: Path) -> None:
    loud = call(image, "--unverified", "--device", card, "--file", "--yes", "card")
    assert loud.returncode == 0
    assert "CHECKSUM NOT CHECKED" in loud.stdout


def test_a_dry_run_writes_nothing(image: Path, card: Path) -> None:
    before = card.read_bytes()
    dry = call(image, "--sha256", sum_of(image), "--device", card, "--file", "--dry-run")
    assert dry.returncode == 0
    assert "would run: write" in dry.stdout
    assert card.read_bytes() == before


@pytest.mark.parametrize("kind", ["img.xz", "zip"])
def test_a_cut_archive_is_found(image: Path, card: Path, content: bytes, kind: str) -> None:
    packed = image.with_suffix("." + kind)
    if kind == "zip":
        with zipfile.ZipFile(packed, "w") as archive:
            archive.write(image, "nano.img")
        broken = bytearray(packed.read_bytes())
        broken[3 * MIB] ^= 1  # found by the archive's own checksum, while it is unpacked onto the card
        packed.write_bytes(bytes(broken))
    else:
        whole = lzma.compress(content, preset=0)
        packed.write_bytes(whole[: len(whole) // 2])
    done = call(packed, "--sha256", sum_of(packed), "--device", card, "--file", "--yes", "card")
    assert "Download it again" in done.stderr
    assert done.returncode == (INCOMPLETE if kind == "zip" else FAILED)
    assert card.read_bytes().startswith(MARKER) == (kind == "zip")


def test_an_archive_without_an_image(tmp_path: Path, card: Path) -> None:
    packed = tmp_path / "other.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("README", "read me")
    done = call(packed, "--sha256", sum_of(packed), "--device", card, "--file", "--yes", "card")
    assert done.returncode == FAILED
    assert "holds 0 files that end in .img" in done.stderr


# --- interrupted --------------------------------------------------------------------------------------------------


def test_killed_in_the_middle_and_recovered(tmp_path: Path) -> None:
    """kill -9 of the script and all it started, as soon as the card carries the marker."""
    image, card = tmp_path / "nano.img", tmp_path / "card"
    for size in (96 * MIB, 768 * MIB):  # the second only where the first was written before anybody could kill it
        with open(image, "wb") as file:
            file.write(b"boot" * 1024)
            file.truncate(size)
        with open(card, "wb") as file:
            file.truncate(size)
        command = [str(SCRIPT), str(image), "--unverified", "--device", str(card), "--file", "--yes", "card"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              start_new_session=True) as process, open(card, "rb", buffering=0) as look:
            while process.poll() is None and os.pread(look.fileno(), len(MARKER), 0) != MARKER:
                time.sleep(0.002)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        with open(card, "rb") as look:
            if look.read(len(MARKER)) == MARKER:
                break
    else:
        pytest.fail("it was never killed in the middle")
    again = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert "did not end on this card: it is written anew" in again.stdout
    assert subprocess.run(["cmp", str(image), str(card)]).returncode == 0


def test_a_card_that_takes_no_more_is_not_complete(image: Path, card: Path) -> None:
    """The limit on the size of files stands for a card that was pulled out."""
    limited = f"ulimit -f {3 * 1024}; exec {SCRIPT} {image} --unverified --device {card} --file --yes card"
    done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, timeout=60)
    assert done.returncode == INCOMPLETE
    assert "writing" in done.stderr and "failed at MiB" in done.stderr
    assert "not complete and will not boot; run the same command again" in done.stderr
    assert card.read_bytes().startswith(MARKER)


def test_a_card_that_holds_something_else_afterwards(image: Path, card: Path) -> None:
    """A card of false size or a dying one: what is read back differs, and the first MiB is never written."""
    program = (
        "import sys\n"
        "import write_image as w\n"
        "read = w.Card.read\n"
        "w.Card.read = lambda self, at, n: read(self, at, n)[:-1] + b'!' if at >= 4 << 20 else read(self, at, n)\n"
        "sys.argv[1:] = ['write', sys.argv[1], sys.argv[2], sys.argv[3]]\n"
        "sys.exit(w.main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(image), str(card), str(image.stat().st_size)],
        capture_output=True, text=True, timeout=60, env=dict(os.environ, PYTHONPATH=str(WRITER.parent)))
    assert done.returncode == INCOMPLETE
    assert "holds something else than what was written, between MiB 4 and 6" in done.stderr
    assert card.read_bytes().startswith(MARKER)


# --- what is no card --------------------------------------------------------------------------------------------------


def test_files_and_loops_need_the_word_file(image: Path, card: Path) -> None:
    refused = call(image, "--unverified", "--device", card)
    assert refused.returncode == REFUSED
    assert "is a file and no disk; --file takes it" in refused.stderr
    refused = call(image, "--unverified", "--device", "/dev/null", "--file")
    assert "neither a file nor a loop device" in refused.stderr
    small = card.with_name("small")
    small.write_bytes(bytes(MIB))
    refused = call(image, "--unverified", "--device", small, "--file")
    assert "holds 1048576 bytes, and the image needs" in refused.stderr


# --- a loop device, the nearest to a card that can be made ---------------------------------------------------------


@pytest.fixture
def loop(tmp_path: Path):
    """(device, the file behind it), or a skip that says why."""
    behind = tmp_path / "behind"
    behind.write_bytes(bytes(32 * MIB))
    if os.geteuid() != 0 or not shutil.which("losetup"):
        pytest.skip("loop devices are made by losetup, as root")
    made = subprocess.run(["losetup", "-f", "--show", str(behind)], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"losetup makes no loop device here: {made.stderr.strip()}")
    yield made.stdout.strip(), behind
    subprocess.run(["losetup", "-d", made.stdout.strip()], check=True)


def test_a_loop_device_twice_and_not_while_it_is_mounted(loop, image: Path, content: bytes, tmp_path: Path) -> None:
    device, behind = loop
    name = os.path.basename(device)
    flags = (image, "--sha256", sum_of(image), "--device", device, "--yes", name)
    assert call(*flags).returncode == REFUSED  # without --file
    for _ in range(2):
        done = call(*flags, "--file")
        assert done.returncode == 0, done.stderr
        with open(device, "rb") as look:
            assert look.read(len(content)) == content
    with open(behind, "rb") as look:
        assert look.read(len(content)) == content
    subprocess.run(["mkfs.ext4", "-q", "-F", device], check=True)
    point = tmp_path / "mounted"
    point.mkdir()
    if subprocess.run(["mount", device, str(point)], capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody mount")
    try:
        refused = call(*flags, "--file")
        busy = subprocess.run([sys.executable, str(WRITER), "write", str(image), device, str(len(content))],
                              capture_output=True, text=True)
    finally:
        subprocess.run(["umount", str(point)], check=True)
    assert refused.returncode == REFUSED and f"{name} is mounted on {point}" in refused.stderr
    assert busy.returncode == REFUSED and "busy; nothing was written" in busy.stderr


# --- flags --------------------------------------------------------------------------------------------------------


def test_help() -> None:
    shown = call("--help")
    assert shown.returncode == 0
    assert shown.stdout.startswith("usage: scripts/flash")


@pytest.mark.parametrize("arguments, words", [
    ([], "which image?"),
    (["a.img", "b.img"], "one image at a time: a.img or b.img"),
    (["a.iso"], "a.iso is no .img, .img.xz or .zip"),
    (["--fast"], "unknown flag --fast; scripts/flash --help lists them"),
    (["--device"], "--device wants a disk"),
    (["--sums", "nothing"], "there is no 'nothing'"),
    (["--yes"], "--yes wants the card's name again"),
    (["{image}", "--device", "sdb"], "--unverified, if its publisher gives none"),
    (["{image}", "--unverified"], "which disk? --list shows them"),
    (["{image}", "--sha256", "abc", "--device", "sdb"], "abc is no SHA-256 checksum"),
])
def test_wrong_flags(image: Path, arguments: list[str], words: str) -> None:
    wrong = call(*[word.format(image=image) for word in arguments])
    assert wrong.returncode == WRONG
    assert words in wrong.stderr
