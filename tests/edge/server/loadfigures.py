"""What clients and server did under load, as figures, a table, and the goals that were missed."""

import bisect

import numpy as np

#: Published clouds a second, of those that were wanted; less, and the load was not the load.
PUBLISHED = 0.9
#: Parts of the time after which the server's memory is looked at.
MARKS = (0.1, 0.5, 1.0)


def published(clients):
    """Clouds a second that the server published, by the numbers and moments of capture that all clients saw."""
    seen = {frame[0]: frame[1] for client in clients for frame in client["frames"]}
    if len(seen) < 2:
        return 0.0
    first, last = min(seen), max(seen)
    return (last - first) / (seen[last] - seen[first])


def of_client(client, rate, seconds):
    """The figures of one client. rate: clouds a second that were published.

    age_s: from capture to the last byte: median, 95th percentile, greatest. shown_s: the greatest age that a frame
    reached before the next one replaced it. skipped: frames that were published in between and not asked for.
    """
    frames = client["frames"]
    ages = [received - captured for _, captured, _, received in frames]
    steps = [after[0] - before[0] for before, after in zip(frames, frames[1:])]
    shown = [after[3] - before[1] for before, after in zip(frames, frames[1:])]
    return {
        "name": client["name"], "limit": client["rate"], "frames": len(frames), "frames_per_s": len(frames) / seconds,
        "of_published": len(frames) / seconds / rate if rate else 0.0, "skipped": sum(step - 1 for step in steps),
        "age_s": [float(value) for value in np.percentile(ages, (50, 95, 100))] if ages else None,
        "shown_s": max(shown) if shown else None, "bytes_per_s": client["bytes"] / seconds,
        "refused": client["refused"], "hung_up": client["hung_up"], "asked": client.get("asked", 0),
    }


def disorder(clients):
    """Sentences about frames that came in the wrong order, or of which a newer one had been published when they were
    asked for: another client had it wholly by then. No tolerance: the clock is one."""
    arrived = sorted((frame[3], frame[0]) for client in clients for frame in client["frames"])
    moments, newest = [moment for moment, _ in arrived], np.maximum.accumulate([0] + [seq for _, seq in arrived])
    found = []
    for client in clients:
        numbers = [frame[0] for frame in client["frames"]]
        if any(after <= before for before, after in zip(numbers, numbers[1:])):
            found.append("%s got a frame that was not newer than the one before" % client["name"])
        old = sum(seq < newest[bisect.bisect_left(moments, asked)] for seq, _, asked, _ in client["frames"])
        if old:
            found.append("%s got %d frames that were not the newest when it asked" % (client["name"], old))
    return found


def growth(memory):
    """Growth of the memory from the first mark to the last, per cent."""
    return 100.0 * (memory[-1] / memory[0] - 1.0)


def missed(figures, goals):
    """A sentence for each goal that was missed. goals: fast (part of the published rate), age (seconds), growth (per
    cent)."""
    found = list(figures["disorder"])
    rate, wanted = figures["published_per_s"], figures["wanted_per_s"]
    if rate < PUBLISHED * wanted:
        found.append("the server published %.1f clouds a second and not %g: this machine is too slow, or too busy, to "
                     "say anything about its clients" % (rate, wanted))
    for client in figures["clients"]:
        name, age = client["name"], client["age_s"]
        if client["limit"] == 0 and client["of_published"] < goals["fast"]:
            found.append("%s got %.2f of what was published; the goal is %g" % (
                name, client["of_published"], goals["fast"]))
        if client["limit"] == goals["age_of"] and (age is None or age[2] >= goals["age"]):
            found.append("%s got a frame that was %s old; the goal is less than %g s" % (
                name, "never" if age is None else "%.2f s" % age[2], goals["age"]))
        if client["limit"] < 0 and client["bytes_per_s"]:
            found.append("%s has read" % name)
        if client["limit"] >= 0 and client["refused"] + client["hung_up"]:
            found.append("%s was refused %d times and hung up on %d times" % (
                name, client["refused"], client["hung_up"]))
    if figures["server"]["growth_percent"] > goals["growth"]:
        found.append("the server's memory grew by %.1f %%; the goal is %g %% at most" % (
            figures["server"]["growth_percent"], goals["growth"]))
    return found


def table(figures):
    """The figures for people, line by line."""
    server = figures["server"]
    lines = [
        "machine    %s; load average before: %.2f" % (figures["machine"], figures["busy"]),
        "load       %g s, %d clients, clouds of %d points (%.0f kB), %.2f a second published (wanted: %g)" % (
            figures["seconds"], len(figures["clients"]), figures["points"], figures["frame_bytes"] / 1e3,
            figures["published_per_s"], figures["wanted_per_s"]),
        "server     memory %s MB at %s %% of the time (%+.1f %%), %.2f cores" % (
            ", ".join("%.1f" % value for value in server["memory_mb"]),
            ", ".join("%g" % (100 * mark) for mark in MARKS), server["growth_percent"], server["cores"]),
        "",
        "client        clouds/s  of published  skipped   age median    95 %     max  until the next   MB/s  hung up on",
    ]
    for client in figures["clients"]:
        age, shown = client["age_s"] or [float("nan")] * 3, client["shown_s"]
        lines.append("%-13s %8.2f %13.3f %8d %10.3f s %7.3f %7.3f %13.3f s %6.2f %11d" % (
            client["name"], client["frames_per_s"], client["of_published"], client["skipped"], age[0], age[1], age[2],
            float("nan") if shown is None else shown, client["bytes_per_s"] / 1e6, client["hung_up"]))
    return lines
