"""report.html: the whole run on one page that needs nothing but itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path

from training.benchmark import goals, plots
from training.benchmark.cases import Case, cases_of
from training.benchmark.explained import PROTOCOL, PUBLISHED
from training.benchmark.report import introduction, write_text
from training.benchmark.run import Outcome
from training.benchmark.tables import DASH, Results, Table, main_table, sections, title
from training.workers import Workers

STYLE = """
:root { color-scheme: light dark; --paper: #fbfbfc; --card: #fff; --ink: #1c2230; --faint: #5b6473; --line: #dfe3ea;
  --accent: #0b6f7d; --shade: 11, 111, 125; }
@media (prefers-color-scheme: dark) { :root { --paper: #12151b; --card: #1a1f28; --ink: #e4e8ef; --faint: #9aa4b5;
  --line: #2d3440; --accent: #4cc3d3; --shade: 76, 195, 211; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1320px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 28px; margin: 0 0 6px; }
h2 { font-size: 19px; margin: 38px 0 8px; }
h3 { font-size: 15px; margin: 20px 0 6px; }
p { max-width: 80ch; margin: 6px 0 12px; }
.faint, figcaption { color: var(--faint); }
nav a { color: var(--accent); margin-right: 14px; text-decoration: none; display: inline-block; }
nav a:hover, summary:hover { text-decoration: underline; }
.scroll, figure, pre { border: 1px solid var(--line); border-radius: 8px; background: var(--card); overflow-x: auto; }
.scroll { margin: 8px 0 16px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 10px; text-align: right; border-bottom: 1px solid var(--line); }
tbody tr:last-child > * { border-bottom: 0; }
thead th { color: var(--faint); font-weight: 600; vertical-align: bottom; }
th:first-child { text-align: left; position: sticky; left: 0; background: var(--card); min-width: 15em; }
tbody th { font-weight: 450; }
table.words td, table.words thead th { text-align: left; vertical-align: top; min-width: 12em; }
table.words th:first-child { min-width: 10em; vertical-align: top; }
tr.scored th { color: var(--accent); font-weight: 650; }
td.shaded { background: rgba(var(--shade), var(--part)); }
figure { margin: 10px 0 18px; padding: 12px; }
figure svg { max-width: 100%; height: auto; display: block; margin: 0 auto; }
figcaption { font-size: 13.5px; margin-top: 6px; }
.cases { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(370px, 100%), 1fr)); gap: 14px; }
.case { margin: 0; padding: 10px; }
.case div { display: grid; grid-template-columns: 216fr 300fr 300fr; gap: 4px; }
.case img { width: 100%; display: block; border-radius: 4px; }
.case b { text-transform: capitalize; }
.case .labels { font-size: 11.5px; color: var(--faint); }
dl { display: grid; grid-template-columns: 11em 1fr; gap: 6px 16px; }
dt { font-weight: 600; }
dd { margin: 0; max-width: 75ch; }
pre { font-size: 12px; padding: 12px; }
@media (max-width: 640px) { dl { grid-template-columns: 1fr; } dd { margin-bottom: 8px; } }
"""


def html_table(table: Table, scored: frozenset[str] = frozenset(), shaded: bool = False) -> str:
    """A table; rows of ``scored`` networks stand out, cells in percent are shaded by their value if ``shaded``."""
    head = "".join(f"<th scope='col'>{_words(name)}</th>" for name in table.header)
    lines = []
    for name, *cells in table.lines:
        made = "".join(_cell(cell, shaded) for cell in cells)
        mark = " class='scored'" if name in scored else ""
        lines.append(f"<tr{mark}><th scope='row'>{_words(name)}</th>{made}</tr>")
    kind = " class='words'" if table.words else ""
    return (
        f"<div class='scroll' tabindex='0'><table{kind}><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _words(text: str) -> str:
    """Escaped, with a true arrow, and a hyphen at which no line breaks."""
    return escape(text.replace("->", "\u2192").replace("CD-", "CD\u2011"))


def _cell(text: str, shaded: bool) -> str:
    if not shaded or text == DASH:
        return f"<td>{_words(text)}</td>"
    return f"<td class='shaded' style='--part: {0.55 * (float(text) / 100) ** 1.5:.3f}'>{escape(text)}</td>"


def figure(svg: str, caption: str) -> str:
    """A plot with its caption; nothing for an empty plot."""
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>" if svg else ""


def plot_figures(results: Results, timings: Results) -> str:
    """All plots."""
    rows, views = results["rows"], results["views"]
    if not plots.looking(rows):
        return "<p class='faint'>No row that looks at a picture was scored.</p>"
    conditions = [c for c in results["protocol"]["conditions"] if any(r["condition"] == c for r in rows)]
    return "".join(
        [
            figure(
                plots.distribution(rows),
                "One dot a view: F@1 on 8,192 points. Bar: median. Dashed: means of controls that see no picture.",
            ),
            figure(plots.azimuth(rows, views, conditions), "F@1 by the side the car is seen from, over all bodies."),
            figure(
                plots.hidden(rows, views, conditions),
                "F@1 against how much of the car is covered or cut off by the frame. Dots: views; line: means, the "
                "first of all views that hide nothing.",
            ),
            figure(
                plots.reliability(rows, conditions),
                "What the confidence of points promises (the probability to lie within 2 % of a car length of the "
                "surface) and what is kept. Dashed: an honest network. Size of a dot: share of the points.",
            ),
            figure(plots.cost(rows, timings), "Accuracy against cost: up and to the left is better."),
        ]
    )


def case_figures(cases: Mapping[tuple[str, str], list[Case]]) -> str:
    """Best, median and worst views of every scored row."""
    parts = []
    for (name, condition), found in cases.items():
        parts.append(f"<h3>{escape(name)}, {escape(condition)}</h3><div class='cases'>")
        for case in found:
            about = f"{case.which} of {name}, {case.body}, view {case.view}"
            images = "".join(
                f"<img src='{uri}' alt='{escape(f'{what}: {about}', quote=True)}'>"
                for what, uri in (("picture", case.picture), ("predicted", case.predicted), ("truth", case.truth))
            )
            parts.append(
                f"<figure class='case'><div>{images}</div>"
                "<div class='labels'><span>picture</span><span>predicted</span><span>truth</span></div>"
                f"<figcaption><b>{case.which}</b>: {escape(case.body)}, view {case.view}. {case.figures}</figcaption>"
                "</figure>"
            )
        parts.append("</div>")
    return "".join(parts) or "<p class='faint'>No network and no clouds were scored.</p>"


def slug(heading: str) -> str:
    """A heading as an anchor."""
    return "".join(c if c.isalnum() else "-" for c in heading.lower())


def page(outcome: Outcome, cases: Mapping[tuple[str, str], list[Case]]) -> str:
    """The page as text."""
    results, timings = outcome.results, outcome.timings
    scored = frozenset(title(row) for row in results["rows"] if row["kind"] in ("network", "clouds"))
    made = [
        ("Results", f"<p>{escape(introduction(results))}</p>" + html_table(main_table(results["rows"]), scored)),
        *(
            (heading, f"<p>{escape(text)}</p>" + "".join(html_table(table) for table in tables))
            for heading, text, tables in goals.sections(results, timings)
        ),
        ("Plots", plot_figures(results, timings)),
        ("Cases", "<p>By F@1, drawn from the picture's side.</p>" + case_figures(cases)),
    ]
    for heading, text, tables in sections(results, timings):
        shaded = heading.startswith("F@")
        made.append((heading, f"<p>{escape(text)}</p>" + "".join(html_table(t, scored, shaded) for t in tables)))
    terms = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in PROTOCOL)
    published = (
        "<p>Same thresholds, other data (ground truth mostly with hidden surfaces): a direction, not a ranking.</p>"
    )
    keys = ("protocol", "subjects", "retrieval", "missing_bodies", "training_bodies", "hashes")
    sealed = json.dumps({key: results[key] for key in keys}, indent=1)
    made += [
        ("Protocol", f"<dl>{terms}</dl>"),
        ("Published figures", published + html_table(PUBLISHED)),
        (
            "To get the same figures again",
            f"<details><summary>hashes and settings</summary><pre>{escape(sealed)}</pre></details>",
        ),
    ]
    links = "".join(f"<a href='#{slug(heading)}'>{escape(heading)}</a>" for heading, _ in made)
    body = "".join(f"<h2 id='{slug(heading)}'>{escape(heading)}</h2>{text}" for heading, text in made)
    name = f"{results['protocol']['name']} results"
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{name}</title><style>{STYLE}</style></head><body><main><h1>{name}</h1>"
        f"<p class='faint'>Finished {escape(timings['finished'])}; times on {escape(timings['device'])}.</p>"
        f"<nav>{links}</nav>{body}</main></body></html>\n"
    )


def write(outcome: Outcome, path: Path, workers: int = 1) -> None:
    """Draw the cases and write the page, whole or not at all."""
    with Workers(workers) as pool:
        cases = cases_of(outcome.results["rows"], outcome.tasks, pool)
    write_text(path, page(outcome, cases))
