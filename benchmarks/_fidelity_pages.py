"""The tables and the plot of ``benchmarks/fidelity.py``, from its figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FEW = 20
"""So many fixed settings are shown: those that no other of as few bytes surpasses."""


def _bytes(value: float) -> str:
    return "never" if math.isnan(value) else f"{value:,.0f}"


def _ratio(row: Mapping[str, Any], kind: str) -> str:
    if kind not in row or math.isnan(row[kind]):
        return ""
    low, high = row[f"{kind} interval"]
    return f"{row[kind]:.2f} ({low:.2f} to {high:.2f})"


def criteria_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Bytes (geometric mean) at which each criterion reaches a share of agreement on the photographs to choose by."""
    shares = [key for key in rows[0] if key.startswith("bytes at")]
    lines = [
        f"| criterion | {' | '.join(shares)} | fixed / this at 95 %, geometric | arithmetic |",
        "|---|" + "---|" * (len(shares) + 2),
    ]
    for row in rows:
        cells = [row["criterion"], *(_bytes(row[share]) for share in shares)]
        lines.append(f"| {' | '.join([*cells, _ratio(row, 'geometric'), _ratio(row, 'arithmetic')])} |")
    return "\n".join(lines)


def report_table(figures: Mapping[str, Any]) -> str:
    """The ratios, and every way's bytes beside its agreement."""
    lines = ["| on the report photographs | R95, geometric mean | R95, arithmetic mean |", "|---|---|---|"]
    for name, row in figures["r95"].items():
        if not math.isnan(row["geometric"]):
            lines.append(f"| {name} | {_ratio(row, 'geometric')} | {_ratio(row, 'arithmetic')} |")
    named = [way for way in figures["ways"] if " quality " not in way["way"]]
    fixed = frontier([way for way in figures["ways"] if " quality " in way["way"]])
    labelled = bool(named[0]["accuracy"])
    head = ["way", "geo-mean bytes", "mean", "median", "Lite2", "MobileNet", "mean agreement"]
    head += [*(["true label"] if labelled else []), "looks", "s a picture", "broken bounds"]
    lines += ["", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for way in (*named, *fixed):
        low, high = way["agreement interval"]
        cells = [way["way"], *(f"{way[kind]:,.0f}" for kind in ("geometric", "mean", "median"))]
        cells += [f"{100 * share:.1f} %" for share in way["agreement"].values()]
        cells.append(f"{100 * way['agreement mean']:.1f} % ({100 * low:.1f} to {100 * high:.1f})")
        if labelled:
            cells.append(" / ".join(f"{100 * share:.1f}" for share in way["accuracy"].values()) + " %")
        cells.append("" if way["looks"] is None else f"{way['looks']:.1f}")
        cells.append("" if way["seconds"] is None else f"{way['seconds']:.2f}")
        cells.append("" if way["violations"] is None else f"{way['violations']} of {figures['photographs']}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def seed_table(figures: Mapping[str, Any]) -> str:
    """The post's loops beside the preset: at its bound, and at those where other readers agree as often."""
    ways = {way["way"]: way for way in figures["ways"]}
    (size,), (share,) = figures["curves"]["same top class (the post), exhaustive"]
    head = ("geo-mean bytes", "mean bytes", "agreement of Lite2 / MobileNet", "mean", "looks", "seconds a picture")

    def row(label: str, name: str) -> str:
        way = ways[name]
        low, high = way["agreement interval"]
        judges = " / ".join(f"{100 * part:.1f}" for part in way["agreement"].values())
        cells = [label, f"{way['geometric']:,.0f}", f"{way['mean']:,.0f}", f"{judges} %"]
        cells.append(f"{100 * way['agreement mean']:.1f} % ({100 * low:.1f} to {100 * high:.1f})")
        cells += [f"{way['looks']:.1f}", f"{way['seconds']:.2f}"]
        return f"| {' | '.join(cells)} |"

    loops = [(f"`{name}`, same top class", f"post: {name}") for name in ("seed-resize", "seed-jpeg")]
    near = ((loops[0], "sway 0.65"), (loops[1], "sway 0.5"))
    lines = [f"| | {' | '.join(head)} |", "|---" * (1 + len(head)) + "|"]
    lines += [row(*loop) for loop in loops]
    lines.append(f"| the smallest of 77 files with the same top class | {size:,.0f} | | | {100 * share:.1f} % | | |")
    lines += [row(f"preset `machine`, `sway: {{max: {name[5:]}}}`", name) for name in ("sway 0.3", "sway 0.25")]
    lines += [
        "",
        "The two loops against the preset, its bound moved to where readers that were not asked agree about as often:",
    ]
    lines += ["", f"| | {' | '.join(head)} |", "|---" * (1 + len(head)) + "|"]
    for loop, name in near:
        lines += [row(*loop), row(f"preset `machine`, `sway: {{max: {name[5:]}}}`", name)]
    (fewer, looks) = (
        " and ".join(f"{ways[loop[1]][kind] / ways[name][kind]:.1f}" for loop, name in near)
        for kind in ("geometric", "looks")
    )
    lines += ["", f"So {fewer} times fewer bytes, in {looks} times fewer looks. All seconds are from a busy machine."]
    return "\n".join(lines)


def frontier(ways: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that no way of as few bytes surpasses in agreement, from the smallest."""
    found: list[Mapping[str, Any]] = []
    for way in sorted(ways, key=lambda way: (way["geometric"], -way["agreement mean"])):
        if not found or way["agreement mean"] > found[-1]["agreement mean"]:
            found.append(way)
    return found[-FEW:]


def plot(figures: Mapping[str, Any], path: Path) -> None:
    """Bytes against the held-out readers' agreement, as SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.fonttype"] = "none"  # letters as text: half the bytes
    mpl.rcParams["svg.hashsalt"] = "semcompress"  # the same figures give the same file
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 4.8))
    for name, (sizes, shares) in figures["curves"].items():
        points = sorted(zip(sizes, shares, strict=True))
        if name == "one setting for all":
            best = frontier([{"geometric": size, "agreement mean": share} for size, share in points])
            axes.plot(sizes, shares, ".", color="0.8", markersize=4)
            points = [(point["geometric"], point["agreement mean"]) for point in best]
        mark = "o-" if len(points) < 10 else "-"
        axes.plot([size for size, _ in points], [share for _, share in points], mark, markersize=4, label=name)
    for way in figures["ways"]:
        if way["way"].startswith(("post", "bisection", "any")):
            axes.plot(way["geometric"], way["agreement mean"], "x", label=way["way"])
    axes.axhline(0.95, color="0.7", linewidth=0.8)
    axes.set(xscale="log", xlabel="bytes a picture (geometric mean)", ylabel="agreement of readers never asked")
    axes.set_ylim(0.4, 1.0)
    ticks = (2_000, 5_000, 10_000, 20_000, 50_000)
    axes.set_xticks(ticks, labels=[f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
