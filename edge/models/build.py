"""A folder of photos to a folder of models: which photo becomes which files, what is there, groups, the record."""

import hashlib
import json
import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import edge
from edge.bundle import Bundle
from edge.errors import CarcloudError, MeshError, SettingsError
from edge.models.gallery import Entry, write_gallery
from edge.models.group import Member, average
from edge.models.template import Template, load_template, make_template, mean_cloud, save_template
from edge.models.work import Order, Task, confidence_of, key_of, model_files, read_record, size_of, write_files
from edge.photosets import Photo, PhotoSet
from edge.photosets.tree import MODELS_FILE, MODELS_FORMAT, is_output
from edge.ply import atomic_file, read_ply
from edge.runtime.memory import corresponds

PHOTOS, GROUPS, TEMPLATE, PAGE = "photos", "groups", "template.npz", "index.html"

#: A group's model is made of so many photos at most, the surest: more would take memory and change nothing.
MOST_PHOTOS = 400

Record = Dict[str, Any]


class Plan(NamedTuple):
    """tasks: photos whose models are to be made. done: records of those that are there, by the photo's name. stems:
    path of each photo's files, without endings, by its name."""

    tasks: List[Task]
    done: Dict[str, Record]
    stems: Dict[str, str]


def open_output(folder: str, photos: str) -> None:
    """Make the folder of models, or go on with one. Raises SettingsError: it holds something else, or the photos."""
    if os.path.realpath(folder) == os.path.realpath(photos):
        raise SettingsError("--out is the folder of the photos; give another one, they are left as they are")
    try:
        os.makedirs(folder, exist_ok=True)
        strangers = [name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError as error:
        raise SettingsError("cannot make the folder %s: %s; give another --out" % (folder, error.strerror))
    if strangers and not is_output(folder):
        raise SettingsError("%s holds %s and is no folder of models; give another --out" % (folder, strangers[0]))
    if not os.access(folder, os.W_OK):
        raise SettingsError("no permission to write into %s; give another --out" % folder)
    if not is_output(folder):
        # At once, so that a run that is broken off can be gone on with.
        write_record(folder, {"format": MODELS_FORMAT, "carcloud": edge.__version__, "complete": False})


def write_record(folder: str, record: Record) -> None:
    """Write models.json, whole or not at all. Raises CarcloudError."""
    path = os.path.join(folder, MODELS_FILE)
    try:
        with atomic_file(path) as handle:
            handle.write((json.dumps(record, indent=1) + "\n").encode("utf-8"))
    except OSError as error:
        raise CarcloudError("cannot write %s: %s; make room, or give another --out" % (path, error.strerror))


def make_plan(
    photos: Sequence[Photo], names: Sequence[str], folder: str, bundle: Bundle, order: Order, how: Tuple[Any, ...],
    again: bool = False,
) -> Plan:
    """Which models are to be made. names: for the files of each photo, without endings, with '/'. how: what else the
    models depend on. again: also those that are there."""
    plan = Plan([], {}, {})
    for photo, name in zip(photos, names):
        stem = os.path.join(folder, PHOTOS, *name.split("/"))
        key = key_of(photo.path, photo.box, bundle, order, how)
        plan.stems[photo.name] = stem
        record = None if again else read_record(stem, key)
        if record is not None:
            plan.done[photo.name] = dict(record, group=photo.group)
        else:
            plan.tasks.append(Task(photo.path, photo.name, photo.group, photo.box, stem, key))
    return plan


def template_key(bundle: Bundle) -> str:
    """What a template depends on: the golden outputs, and how it is made."""
    return "2 %s" % bundle.manifest["files"]["golden.npz"]["sha256"]


def open_template(folder: str, bundle: Bundle) -> Template:
    """The bundle's template out of the folder, or made (seconds) and kept there. Raises MeshError, CarcloudError."""
    path, key = os.path.join(folder, TEMPLATE), template_key(bundle)
    template = load_template(path, key)
    if template is None:
        try:
            template = make_template(mean_cloud(bundle))
        except MeshError as error:
            raise MeshError("%s; or leave the meshes out: --no-mesh" % error)
        try:
            save_template(path, template, key)
        except OSError as error:
            raise CarcloudError("cannot write %s: %s; make room, or give another --out" % (path, error.strerror))
    return template


def group_stems(folder: str, groups: Sequence[str]) -> Dict[str, str]:
    """Path of each group's files, without endings: its name, with what no file name should hold made '_'."""
    stems: Dict[str, str] = {}
    taken = set()
    for group in groups:
        name = first = re.sub(r"[^\w .()+-]", "_", group).strip(" .") or "_"
        number = 2
        while name.lower() in taken:
            name, number = "%s-%d" % (first, number), number + 1
        taken.add(name.lower())
        stems[group] = os.path.join(folder, GROUPS, name)
    return stems


def make_group(
    name: str, stem: str, photos: Sequence[Tuple[Record, str]], same_car: bool, template: Optional[Template],
    order: Order,
) -> Record:
    """Make and write the model of a group, or read it, if it is there of the same photos. photos: record and stem of
    each photo that gave a model; of more than MOST_PHOTOS the surest are taken."""
    total = len(photos)
    if total > MOST_PHOTOS:
        surest = sorted(range(total), key=lambda row: -(photos[row][0].get("confidence") or 0.0))[:MOST_PHOTOS]
        photos = [photos[row] for row in sorted(surest)]
    text = json.dumps([same_car, order.mesh, order.strip, [record["key"] for record, _ in photos]])
    key = hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]
    kept = read_record(stem, key)
    if kept is not None:
        return kept
    mean = average([_member(record, path) for record, path in photos], same_car)
    body = _commonest([record.get("body_class") for record, _ in photos])
    record: Record = {
        "key": key, "kind": "group", "group": name, "status": "ok", "points": len(mean.cloud.points),
        "photos_total": total, "photos": [one["photo"] for one, _ in photos],
        "odd": [photos[row][0]["photo"] for row in mean.odd],
        "directions": mean.directions, "confidence": confidence_of(mean.cloud),
        "size_m": size_of(mean.cloud, mean.metres), "body_class": body,
        "colours_from": None if mean.colours is None else photos[mean.colours][0]["photo"],
    }  # fmt: skip
    files = model_files(mean.cloud, template, order, ["group %s" % name, "photos %d" % len(mean.used)])
    record["files"] = [os.path.basename(stem) + ending for ending in files]
    files[".json"] = (json.dumps(record, indent=1) + "\n").encode("utf-8")
    write_files(stem, files)
    return record


def _member(record: Record, stem: str) -> Member:
    try:
        cloud = read_ply(stem + ".ply")
    except OSError as error:
        raise CarcloudError("cannot read %s: %s; start again" % (stem + ".ply", error.strerror))
    pose, length = record.get("pose") or {}, record.get("length") or {}
    metres = length.get("metres")
    unsure = length.get("plus_minus", 0.0) / metres if metres else 0.1
    return Member(cloud, pose.get("azimuth"), metres, unsure)


def _commonest(bodies: Sequence[Optional[Dict[str, Any]]]) -> Optional[Dict[str, Any]]:
    """The body class with the largest sum of probabilities, and its mean probability."""
    told = [body for body in bodies if body]
    if not told:
        return None
    sums: Dict[str, float] = {}
    for body in told:
        sums[body["name"]] = sums.get(body["name"], 0.0) + body["probability"]
    best = max(sums, key=lambda name: sums[name])
    return {"name": best, "probability": round(sums[best] / len(bodies), 3)}


def finish(
    folder: str, source: PhotoSet, bundle: Bundle, plan: Plan, records: Dict[str, Record], grouping: str,
    template: Optional[Template], order: Order,
) -> Record:
    """Groups, models.json and the gallery of all records there are, by the photo's name; returns what models.json
    holds."""
    good = [photo for photo in source.photos if records.get(photo.name, {}).get("status") == "ok"]
    together: Dict[str, List[Photo]] = {}
    if grouping != "none" and corresponds(bundle):
        for photo in good:
            if photo.group is not None:
                together.setdefault(photo.group, []).append(photo)
    stems = group_stems(folder, list(together))
    groups = [
        make_group(name, stems[name], [(records[photo.name], plan.stems[photo.name]) for photo in photos],
                   grouping == "car", template, order)
        for name, photos in together.items()
    ]  # fmt: skip
    record = _whole(source, bundle, records, groups, grouping)
    write_record(folder, record)
    titles = {photo.name: _title(photo) for photo in good}
    ids = {photo.name: "p%d" % number for number, photo in enumerate(good)}
    entries = [
        Entry("g%d" % number, str(group["group"]), group, stems[str(group["group"])], None,
              [ids[name] for name in group["photos"]], [ids[name] for name in group["odd"]])
        for number, group in enumerate(groups)
    ]  # fmt: skip
    entries += [Entry(ids[photo.name], titles[photo.name], dict(records[photo.name], group=photo.group),
                      plan.stems[photo.name], photo.name) for photo in good]
    title = "%s: cars in 3-D" % (os.path.basename(os.path.abspath(source.root)) or "photos")
    write_gallery(os.path.join(folder, PAGE), title, sentence(record), entries, _without(source, records), template)
    return record


def _title(photo: Photo) -> str:
    return os.path.splitext(photo.name.split("/")[-1])[0]


def _without(source: PhotoSet, records: Dict[str, Record]) -> List[str]:
    """Sentences about photos that gave no model."""
    told = [str(record["error"]) for record in records.values() if record.get("error")]
    told += ["%s: the network saw no car in it" % name for name, one in records.items() if one["status"] == "empty"]
    return told + ["%s: listed, but not there" % name for name in source.missing]


def _whole(
    source: PhotoSet, bundle: Bundle, records: Dict[str, Record], groups: Sequence[Record], grouping: str
) -> Record:
    count = [record["status"] for record in records.values()]
    return {
        "format": MODELS_FORMAT, "carcloud": edge.__version__, "complete": len(records) == len(source.photos),
        "kind": source.kind, "grouping": grouping,
        "bundle": {"name": bundle.name, "network_sha256": bundle.manifest["files"]["reconstructor.onnx"]["sha256"]},
        "frame": "canonical: x forward, y left, z up, origin at the centre of the car's bounding box, longest edge 1",
        "totals": {
            "photos": len(source.photos), "ok": count.count("ok"), "no_car": count.count("no car"),
            "empty": count.count("empty"), "failed": count.count("failed"), "missing": len(source.missing),
            "not_reached": len(source.photos) - len(records), "groups": len(groups),
        },
        "notes": source.notes, "missing": source.missing, "groups": list(groups),
        "photos": [records[photo.name] for photo in source.photos if photo.name in records],
    }  # fmt: skip


def sentence(record: Record) -> str:
    """How many models, and what became of the other photos."""
    total = record["totals"]
    text = "%d models of %d photos" % (total["ok"], total["photos"])
    text += ", and of %d groups" % total["groups"] if total["groups"] else ""
    rest = [("no_car", "without a car"), ("empty", "empty"), ("failed", "failed"), ("missing", "missing"),
            ("not_reached", "not reached")]
    told = ["%d %s" % (total[name], words) for name, words in rest if total[name]]
    return text + ("; " + ", ".join(told) if told else "") + "."
