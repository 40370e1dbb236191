"""Measure a card image, and write it to a card so that a half-written one is known as such. Used by scripts/flash.

The order makes an interrupted write harmless: a marker goes to the card's start first, then everything behind the first
MiB, which is read back and compared, and the first MiB, without which no board boots, last of all.
Python 3.6 and later, standard library only.
"""
# ruff: noqa: B904, UP031 - the style of edge/, for the same reason.

import argparse
import array
import fcntl
import hashlib
import lzma
import os
import stat
import sys
import zipfile
from contextlib import contextmanager

MIB = 1 << 20
CHUNK = 4 * MIB
MARKER = b"carcloud scripts/flash: this card is not complete. Run scripts/flash again.\n"
BLKRRPART, BLKFLSBUF, BLKGETSIZE64 = 0x125F, 0x1261, 0x80081272
#: Exit codes. FAILED and REFUSED: nothing was written. INCOMPLETE: something was, and the card says so.
FAILED, REFUSED, INCOMPLETE = 1, 3, 4


class ImageError(Exception):
    """The image cannot be used; one sentence."""


class RefusedError(Exception):
    """The card cannot be opened; nothing was written; one sentence."""


class WriteError(Exception):
    """The card cannot be written or holds something else afterwards; one sentence."""


@contextmanager
def opened(path):
    """The bytes of a .img, .img.xz or .zip as a binary file. Raises ImageError."""
    if path.endswith(".xz"):
        with lzma.open(path) as source:
            yield source
    elif path.endswith(".zip"):
        with zipfile.ZipFile(path) as archive, archive.open(image_in(archive, path)) as source:
            yield source
    else:
        with open(path, "rb") as source:
            yield source


def image_in(archive, path):
    """The one .img in an archive. Raises ImageError."""
    images = [entry for entry in archive.infolist() if entry.filename.endswith(".img")]
    if len(images) != 1:
        raise ImageError("%s holds %d files that end in .img, and should hold one" % (path, len(images)))
    return images[0]


def chunks(path):
    """All chunks of the image. Raises ImageError if it cannot be unpacked."""
    try:
        with opened(path) as source:
            while True:
                chunk = read_fully(source, CHUNK)
                if not chunk:
                    return
                yield chunk
    except (lzma.LZMAError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise ImageError("%s cannot be read to its end: %s. Download it again" % (path, error))


def read_fully(source, count):
    """Up to count bytes, fewer only at the end: unpackers give what they have."""
    parts = []
    while count > 0:
        part = source.read(count)
        if not part:
            break
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def image_size(path):
    """Bytes of the unpacked image; an .xz is unpacked once, which also proves that it is whole. Raises ImageError."""
    try:
        if path.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                size = image_in(archive, path).file_size
        elif path.endswith(".xz"):
            size = 0
            progress = Progress("unpacking once, to learn the size", 0)
            for chunk in chunks(path):
                size += len(chunk)
                progress.at(size)
        else:
            size = os.path.getsize(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise ImageError("%s cannot be read: %s" % (path, error))
    if size < 2 * MIB:
        raise ImageError("%s holds %d bytes: that is no image of a card" % (path, size))
    return size


class Progress:
    """A line that is written over on a terminal; one line for every tenth where it is piped."""

    def __init__(self, what, total):
        self.what, self.total, self.shown = what, total, -1

    def at(self, done):
        """Tell how far it is."""
        if not self.total:
            if sys.stderr.isatty():
                sys.stderr.write("\r  %s: %d MiB " % (self.what, done // MIB))
            return
        percent = done * 100 // self.total
        step = percent if sys.stderr.isatty() else percent // 10 * 10
        if step != self.shown:
            self.shown = step
            text = "  %s: %3d %% of %d MiB" % (self.what, step, self.total // MIB)
            sys.stderr.write("\r" + text if sys.stderr.isatty() else text + "\n")
        if done == self.total and sys.stderr.isatty():
            sys.stderr.write("\n")


class Card:
    """A block device or a file, opened for one writer alone. Raises RefusedError."""

    def __init__(self, path):
        self.path = path
        block = stat.S_ISBLK(os.stat(path).st_mode)
        try:
            # O_EXCL on a block device: the kernel refuses it while anything of it is mounted, swap, RAID or mapped.
            self.handle = os.open(path, os.O_RDWR | (os.O_EXCL if block else 0))
        except OSError as error:
            raise RefusedError("cannot open %s for writing: %s; nothing was written" % (path, error.strerror))
        self.block = block
        self.size = self._size()

    def _size(self):
        if not self.block:
            return os.fstat(self.handle).st_size
        found = array.array("Q", [0])
        fcntl.ioctl(self.handle, BLKGETSIZE64, found)
        return found[0]

    def write(self, offset, data):
        """Write all of data there."""
        view = memoryview(data)
        try:
            while view:
                count = os.pwrite(self.handle, view, offset)
                view, offset = view[count:], offset + count
        except OSError as error:
            raise WriteError("writing %s failed at MiB %d: %s" % (self.path, offset // MIB, error.strerror))

    def read(self, offset, count):
        """Read what the card holds there; fewer bytes at its end."""
        parts = []
        try:
            while count:
                part = os.pread(self.handle, count, offset)
                if not part:
                    break
                parts.append(part)
                count, offset = count - len(part), offset + len(part)
        except OSError as error:
            raise WriteError("reading %s failed at MiB %d: %s" % (self.path, offset // MIB, error.strerror))
        return b"".join(parts)

    def settle(self):
        """Have everything on the card, and nothing of it in memory: what is read then, is read from the card."""
        try:
            os.fsync(self.handle)
            os.posix_fadvise(self.handle, 0, 0, os.POSIX_FADV_DONTNEED)
            if self.block:
                fcntl.ioctl(self.handle, BLKFLSBUF)
        except OSError as error:
            raise WriteError("%s did not take what was written: %s" % (self.path, error.strerror))

    def close(self):
        """Give it back; the kernel looks at the new partitions."""
        if self.block:
            try:
                fcntl.ioctl(self.handle, BLKRRPART)
            except OSError as error:
                say("the kernel does not look at the new partitions (%s): take the card out and put it in again"
                    % error.strerror)
        os.close(self.handle)


def say(text):
    """One line for people."""
    print("  " + text, flush=True)


def is_incomplete(path):
    """Whether the card carries the marker of a write that did not end."""
    with open(path, "rb") as card:
        return card.read(len(MARKER)) == MARKER


def write(image, path, size):
    """Write an image of size bytes to the card, read it back, compare. Raises ImageError, RefusedError, WriteError."""
    card = Card(path)
    try:
        if card.size < size:
            raise RefusedError("%s holds %d bytes, the image needs %d" % (path, card.size, size))
        card.write(0, MARKER.ljust(MIB, b"\0"))
        card.settle()
        head, digests = write_body(card, image, size)
        if card.size >= size + MIB:  # where an old partition table's copy may lie
            card.write(card.size - MIB, bytes(MIB))
        card.settle()
        compare(card, digests, size)
        card.write(0, head)
        card.settle()
        if card.read(0, MIB) != head:
            raise WriteError("%s holds something else than what was written in its first MiB; use another card" % path)
    finally:
        card.close()


def write_body(card, image, size):
    """Write all but the first MiB. Returns that MiB, and the digest of each chunk."""
    head, digests, offset, progress = b"", [], 0, Progress("writing", size)
    for chunk in chunks(image):
        if offset + len(chunk) > size:
            raise ImageError("%s grew while it was written" % image)
        if offset == 0:
            head = chunk[:MIB]
            card.write(MIB, chunk[MIB:])
        else:
            card.write(offset, chunk)
        digests.append(hashlib.sha256(chunk[MIB:] if offset == 0 else chunk).digest())
        offset += len(chunk)
        progress.at(offset)
    if offset != size:
        raise ImageError("%s ended after %d of %d bytes" % (image, offset, size))
    return head, digests


def compare(card, digests, size):
    """Read back all but the first MiB. Raises WriteError at the first difference."""
    progress = Progress("reading back", size)
    for number, digest in enumerate(digests):
        offset = number * CHUNK
        end = min(offset + CHUNK, size)
        begin = max(offset, MIB)
        if hashlib.sha256(card.read(begin, end - begin)).digest() != digest:
            raise WriteError(
                "%s holds something else than what was written, between MiB %d and %d; the card or its reader is bad: "
                "use another" % (card.path, begin // MIB, -(-end // MIB)))
        progress.at(end)


def main():
    """``size IMAGE``, ``state CARD`` or ``write IMAGE CARD SIZE``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("size", "state", "write"))
    parser.add_argument("paths", nargs="+")
    options = parser.parse_args()
    try:
        if options.action == "size":
            print(image_size(options.paths[0]))
        elif options.action == "state":
            print("incomplete" if is_incomplete(options.paths[0]) else "other")
        else:
            image, card, size = options.paths
            write(image, card, int(size))
        return 0
    except ImageError as error:
        sys.stderr.write("error: %s\n" % error)
        return INCOMPLETE if options.action == "write" else FAILED
    except RefusedError as error:
        sys.stderr.write("error: %s\n" % error)
        return REFUSED
    except WriteError as error:
        sys.stderr.write("error: %s\n" % error)
        return INCOMPLETE
    except KeyboardInterrupt:
        sys.stderr.write("\nerror: interrupted\n")
        return INCOMPLETE if options.action == "write" else FAILED


if __name__ == "__main__":
    sys.exit(main())
