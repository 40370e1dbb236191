"""Doctor's look at who could put another network in the place of ours: an engine is as good as a program."""

import os
import stat
from typing import List

from edge.cli.check import OK, WARNING, Check
from edge.settings import Settings


def strangers(path: str) -> List[str]:
    """Why somebody else could change what lies at a path; [] if nobody but its owner, who is this user or root, could.

    Looks at the path and at every folder above it, behind symbolic links. A folder that all may write to is as good
    as none, unless it is sticky (/tmp), where only owners rename and delete.
    """
    found, place = [], os.path.realpath(path)
    while True:
        facts = os.stat(place)
        mode = stat.S_IMODE(facts.st_mode)
        sticky = stat.S_ISDIR(facts.st_mode) and mode & stat.S_ISVTX
        if facts.st_uid not in (0, os.geteuid()):
            found.append("%s belongs to user %d" % (place, facts.st_uid))
        if mode & stat.S_IWOTH and not sticky:
            found.append("%s can be written by everybody" % place)
        if mode & stat.S_IWGRP and not sticky and facts.st_gid not in (0, os.getegid()):
            found.append("%s can be written by group %d" % (place, facts.st_gid))
        above = os.path.dirname(place)
        if above == place:
            return found
        place = above


def check_trust(chosen: Settings) -> Check:
    """The bundle's files, the folder of engines and each engine of it: nobody else can change them."""
    from edge.bundle import load_bundle
    from edge.runtime.engine.recipe import default_folder

    engines = chosen.engines or default_folder()
    bundle = load_bundle(chosen.bundle, verify=False).path
    places = [place for place in (bundle, engines) if os.path.exists(place)]
    files = [os.path.join(folder, name) for place in places for folder, _, names in os.walk(place) for name in names]
    reasons = [reason for place in places + files for reason in strangers(place)]
    if not reasons:
        return Check("trust", OK, "nobody else can change the bundle or the engines")
    more = "" if len(set(reasons)) == 1 else " (and %d more)" % (len(set(reasons)) - 1)
    place = reasons[0].split(" belongs")[0].split(" can be")[0]
    fix = "sudo chown $USER %s && chmod go-w %s" % (place, place)
    return Check("trust", WARNING, "%s%s: whoever changes a network there is obeyed" % (reasons[0], more), fix)
