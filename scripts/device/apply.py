"""Put a folder of prepared files over a root file system, and take them away again. Used by scripts/provision.

A manifest says what was there before: it is written before each change, so that whatever interrupts this, running it
again ends it, and `undo` gives back exactly what was. Runs on the device, too: Python 3.6, standard library only.
"""
# ruff: noqa: B904, UP031 - the style of edge/, for the same reason.

import argparse
import hashlib
import json
import os
import secrets
import shutil
import stat
import sys

STATE = "var/lib/carcloud"
MANIFEST = STATE + "/provision.json"
BACKUPS = STATE + "/before"
#: There while scripts/firstboot has something to do.
FLAG = STATE + "/firstboot"
TOKEN = "etc/carcloud/token"
#: What scripts/firstboot makes.
LATER = (
    "etc/systemd/system/multi-user.target.wants/carcloud.service", STATE + "/swap", STATE + "/engines", STATE + "/made",
    "opt/carcloud/lib", "opt/carcloud/lib.new", "opt/carcloud/lib.sum", "var/cache/carcloud",
)
VERSION = 1
#: Behind the name of a file that is not in its place yet.
NEW = ".carcloud-new"


class ApplyError(Exception):
    """One sentence."""


class Root:
    """A root file system: reads and writes below one folder, never through a link that leads out of it."""

    def __init__(self, folder):
        self.folder = os.path.realpath(folder)

    def path(self, name):
        """Path of a file. Raises ApplyError if a folder above it is a link: it may lead to this machine's own files."""
        above = os.path.dirname(name)
        while above:
            if os.path.islink(os.path.join(self.folder, above)):
                raise ApplyError("/%s of %s is a link; nothing is written through it" % (above, self.folder))
            above = os.path.dirname(above)
        return os.path.join(self.folder, name)

    def look(self, name):
        """What is there: None, ("link", goal) or ("file", SHA-256, mode). Raises ApplyError for anything else."""
        path = self.path(name)
        if os.path.islink(path):
            return ["link", os.readlink(path)]
        if not os.path.lexists(path):
            return None
        if not os.path.isfile(path):
            raise ApplyError("%s is a folder or a device, and should be a file" % path)
        with open(path, "rb") as file:
            return ["file", hashlib.sha256(file.read()).hexdigest(), stat.S_IMODE(os.stat(path).st_mode)]

    def matches(self, name, look):
        """Whether a file is as :func:`wanted_look` or :func:`secret_look` said."""
        found = self.look(name)
        if look[0] != "secret" or found is None or found[0] != "file":
            return found == look
        with open(self.path(name), "rb") as file:
            return secret_look(file.read(), found[2], look[1]) == look

    def put(self, name, content, mode):
        """Write a file in one go: the old one, or the new one. content: bytes, or the goal of a link."""
        path = self.path(name)
        temporary = path + NEW
        if os.path.lexists(temporary):
            os.unlink(temporary)
        if isinstance(content, str):
            os.symlink(content, temporary)
        else:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                os.fchmod(handle, mode)
                file.flush()
                os.fsync(handle)
        os.replace(temporary, path)

    def remove(self, name):
        """Remove a file, a link, or a folder with all in it; nothing if it is not there."""
        path = self.path(name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)


class Provision:
    """What was done to a root. files: name -> what was there before (None: nothing); folders: those that were made."""

    def __init__(self, root):
        self.root, self.files, self.folders = root, {}, []
        path = root.path(MANIFEST)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                kept = json.load(file)
            if kept.get("version") != VERSION:
                raise ApplyError("%s is of another version of scripts/provision; undo it with that one" % path)
            self.files, self.folders = kept["files"], kept["folders"]

    def save(self):
        """Write the manifest."""
        kept = {"version": VERSION, "files": self.files, "folders": self.folders}
        self.root.put(MANIFEST, (json.dumps(kept, indent=1, sort_keys=True) + "\n").encode(), 0o600)

    def folder(self, name):
        """Make a folder and those above it, and remember which were made."""
        if not name or os.path.isdir(self.root.path(name)):
            return
        self.folder(os.path.dirname(name))
        if name not in self.folders:
            self.folders.append(name)
            if os.path.isdir(self.root.path(STATE)):
                self.save()
        os.mkdir(self.root.path(name), 0o755)

    def replace(self, name, content, mode):
        """Put a file there, after remembering what was."""
        self.folder(os.path.dirname(name))
        if name not in self.files:
            before = self.root.look(name)
            if before is not None and before[0] == "file":
                self.folder(os.path.dirname(BACKUPS + "/" + name))
                with open(self.root.path(name), "rb") as file:
                    self.root.put(BACKUPS + "/" + name, file.read(), 0o600)
            self.files[name] = {"before": before}
        self.files[name]["now"] = wanted_look(content, mode)
        self.save()
        self.root.put(name, content, mode)

    def restore(self, name):
        """Give back what was there before; somebody else's change since is kept beside it."""
        entry = self.files[name]
        found = self.root.look(name)
        if found not in (None, entry["now"], entry["before"]):
            saved = self.root.path(name) + ".carcloud-saved"
            os.replace(self.root.path(name), saved)
            print("  /%s was changed since; that is kept as %s" % (name, saved))
        before = entry["before"]
        if before is None:
            self.root.remove(name)
        elif before[0] == "link":
            self.root.put(name, before[1], 0)
        elif self.root.look(name) != before:
            with open(self.root.path(BACKUPS + "/" + name), "rb") as file:
                self.root.put(name, file.read(), before[2])


def wanted_look(content, mode):
    """What :meth:`Root.look` will say of it."""
    if isinstance(content, str):
        return ["link", content]
    return ["file", hashlib.sha256(content).hexdigest(), mode]


def secret_look(content, mode, salt):
    """The same for words that a list of processes shows: nobody shall try passwords on it."""
    return ["secret", salt, hashlib.pbkdf2_hmac("sha256", content, salt.encode(), 100000).hex(), mode]


def shown_looks(files):
    """Name -> look, to be handed on in a command: what only its owner may read is told by :func:`secret_look`."""
    looks = looks_of(files)
    for name, (content, mode) in files.items():
        if looks[name][0] == "file" and not mode & 0o007 and content:
            looks[name] = secret_look(content, mode, secrets.token_hex(8))
    return looks


def staged(stage):
    """Name -> (content, mode) of all prepared files; a link's content is its goal."""
    files = {}
    for folder, folders, names in os.walk(stage):
        for name in names + [name for name in folders if os.path.islink(os.path.join(folder, name))]:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                files[os.path.relpath(path, stage)] = (os.readlink(path), 0)
            else:
                with open(path, "rb") as file:
                    files[os.path.relpath(path, stage)] = (file.read(), stat.S_IMODE(os.stat(path).st_mode))
    return files


def with_token(root, files):
    """An empty token means: the one that is there, or else a fresh one."""
    if files.get(TOKEN, (None, 0))[0] == b"":
        kept = b""
        if os.path.exists(root.path(TOKEN)):
            with open(root.path(TOKEN), "rb") as file:
                kept = file.read()
        files[TOKEN] = (kept or (secrets.token_urlsafe(24) + "\n").encode(), 0o600)


def with_hosts(root, files, name):
    """/etc/hosts as it is, but for the line of this machine's own name."""
    lines = ["127.0.0.1\tlocalhost"]
    if os.path.exists(root.path("etc/hosts")):
        with open(root.path("etc/hosts"), encoding="utf-8") as file:
            lines = file.read().splitlines()
    own = "127.0.1.1\t" + name
    if own not in lines:
        lines = [line for line in lines if not line.startswith("127.0.1.1")] + [own]
    files["etc/hosts"] = (("\n".join(lines) + "\n").encode(), 0o644)


def own_files(root, files, hostname):
    """Add to files what depends on the root itself: a token that is there already, its list of hosts."""
    with_token(root, files)
    if hostname:
        with_hosts(root, files, hostname)


def looks_of(files):
    """Name -> :meth:`Root.look` of it."""
    return {name: wanted_look(*entry) for name, entry in files.items()}


def compare(root, looks, provision, words):
    """Name what is to be written and what is to be given back; words: how to say the two. Returns both lists."""
    changed = [name for name in sorted(looks) if not root.matches(name, looks[name])]
    unwanted = [name for name in sorted(provision.files) if name not in looks]
    for name in changed:
        print("  %s /%s" % (words[0], name))
    for name in unwanted:
        print("  %s /%s, as it was before" % (words[1], name))
    return changed, unwanted


def preview(root, looks, hostname, unknown):
    """Say what :func:`apply` would do, by the looks of the prepared files alone. unknown: a folder that is not prepared
    yet, so that nothing can be said of what is in it. Returns changes."""
    few = {TOKEN: (b"", 0o600)} if looks.get(TOKEN) == wanted_look(b"", 0o600) else {}
    own_files(root, few, hostname)
    looks.update(looks_of(few))
    provision = Provision(root)
    provision.files = {name: entry for name, entry in provision.files.items()
                       if not unknown or not name.startswith(unknown + "/")}
    return sum(compare(root, looks, provision, ("would write", "would give back")), [])


def halves(names):
    """What an interrupted run may have left beside these files and its own."""
    return [name + NEW for name in (FLAG, MANIFEST, *names)]


def mend(root, provision, looks, changed):
    """Bring the traces of an interrupted run in order: halves of files go, and the manifest says of every file that is
    as it should be that it is ours, even if that run had already announced another one."""
    names = sorted({*provision.files, *looks})
    for name in halves(names + [BACKUPS + "/" + name for name in names]):
        root.remove(name)
    stale = [name for name, entry in provision.files.items()
             if name in looks and name not in changed and entry["now"] != looks[name]]
    for name in stale:
        provision.files[name]["now"] = looks[name]
    if stale:
        provision.save()


def apply(stage, root, hostname):
    """Put all prepared files there, take away those of an earlier run that are not wanted any more. Returns changes."""
    provision = Provision(root)
    files = staged(stage)
    own_files(root, files, hostname)
    looks = looks_of(files)
    changed, unwanted = compare(root, looks, provision, ("writes", "gives back"))
    mend(root, provision, looks, changed)
    if not changed + unwanted:
        return []
    provision.folder(STATE)
    if STATE not in provision.folders:  # made by a run that was interrupted right then
        provision.folders.append(STATE)
    # First of all: whatever interrupts this, the board will notice that something is new.
    root.put(FLAG, b"scripts/provision wrote something that the board has not seen yet\n", 0o644)
    for name in changed:
        provision.replace(name, *files[name])
    for name in unwanted:
        provision.restore(name)
        del provision.files[name]
        provision.save()
    os.sync()
    return changed + unwanted


def undo(root, dry):
    """Give back everything that was there before. Returns what was changed."""
    provision = Provision(root)
    if not os.path.isdir(root.path(STATE)):
        return []
    made = root.path(STATE + "/made")
    if os.path.exists(made):
        with open(made, encoding="utf-8") as file:
            for account in file.read().split():
                print("  the account %s stays, made at the first boot; on the board: userdel --remove %s"
                      % (account, account))
    if dry:
        for name in sorted(provision.files):
            print("  would give back /%s" % name)
        return sorted(provision.files)
    for name in sorted(provision.files):
        provision.restore(name)
    for name in LATER + tuple(halves(provision.files)) + (FLAG, BACKUPS, MANIFEST):
        root.remove(name)
    for name in reversed(provision.folders):
        path = root.path(name)
        if os.path.isdir(path) and not os.listdir(path):
            os.rmdir(path)
        elif os.path.isdir(path):
            print("  /%s stays: somebody else put %s there" % (name, ", ".join(sorted(os.listdir(path)))))
    if os.path.isdir(root.path(STATE)) and not os.listdir(root.path(STATE)):
        os.rmdir(root.path(STATE))
    os.sync()
    return ["/" + STATE] + sorted(provision.files)


def page(root, address):
    """Print where to look; the token stands after the #, which no browser sends."""
    with open(root.path(TOKEN), encoding="ascii") as file:
        print("  page: %s#token=%s" % (address, file.read().strip()))


def main():
    """``apply STAGE ROOT``, ``undo ROOT``; and for a dry run, which leaves no file anywhere, ``looks STAGE`` and, with
    what that printed, ``preview LOOKS ROOT``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("apply", "undo", "looks", "preview"))
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--hostname", default="")
    parser.add_argument("--address", default="", help="of the page, to be printed with the token")
    parser.add_argument("--unknown", default="", help="a folder whose files are not prepared yet")
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    if options.action == "looks":
        print(json.dumps(shown_looks(staged(options.folders[0])), sort_keys=True))
        return 0
    root = Root(options.folders[-1])
    try:
        if options.action == "preview":
            changes = preview(root, json.loads(options.folders[0]), options.hostname, options.unknown)
        elif options.action == "apply":
            changes = apply(options.folders[0], root, options.hostname)
            if options.address:
                page(root, options.address)
        else:
            changes = undo(root, options.dry_run)
    except (ApplyError, OSError) as error:
        sys.stderr.write("error: %s\n" % error)
        return 1
    if not changes:
        print("  nothing to change")
    return 0


if __name__ == "__main__":
    sys.exit(main())
