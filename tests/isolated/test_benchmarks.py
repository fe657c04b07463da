"""The benchmarks run, count everything and write what they found; their figures are no test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import formats, startup
from benchmarks.growing_server import OBSERVED, cost
from benchmarks.runner import Contender, ContenderError, minimal_server, run
from benchmarks.table import LOOP, OURS, SDK, THREADS, Row, make_ratios
from tests.helpers.python import printed_by


def bench(module: str, *arguments: str) -> str:
    """Run a benchmark in a subprocess and return what it printed."""
    return printed_by("-m", module, *arguments, timeout=110)


@pytest.mark.slow
def test_the_comparison_measures_every_contender(tmp_path: Path) -> None:
    """The quick comparison ends with a row for each contender and size, on screen and in JSON."""
    file = tmp_path / "figures.json"
    shown = bench("benchmarks.upload", "--quick", "--no-sdk", "--json", str(file))

    figures = json.loads(file.read_text())
    measured = {(row["contender"], row["size"]) for row in figures["rows"]}
    assert {
        (name, size) for name in (OURS, LOOP) for size in (8_000, 200_000, 3_000_000)
    } <= measured
    assert all(row["rate"] > 0 and row["cpu_ms"] > 0 for row in figures["rows"])
    assert figures["machine"]["command"].startswith("python -m benchmarks.upload --quick")
    assert f"SKIPPED {SDK}: --no-sdk" in shown
    assert (THREADS, 8_000) in measured or f"SKIPPED {THREADS}" in shown


@pytest.mark.slow
def test_what_a_start_costs_is_measured(tmp_path: Path) -> None:
    """The start-up benchmark measures each command and compares them in one run."""
    file = tmp_path / "figures.json"
    shown = bench("benchmarks.startup", "--rounds", "1", "--json", str(file))

    figures = json.loads(file.read_text())
    assert [row["row"] for row in figures["rows"]] == list(startup.ROWS)
    assert all(row["cpu_ms"] > 0 for row in figures["rows"])
    assert {(each["row"], each["other"]) for each in figures["ratios"]} == {*startup.GOALS}
    assert "from datagym_async import DataGymClient" in shown


@pytest.mark.slow
def test_the_growth_of_memory_is_measured(tmp_path: Path) -> None:
    """The memory benchmark tells two peaks and the growth between them."""
    file = tmp_path / "figures.json"
    bench("benchmarks.memory", "--few", "20", "--many", "60", "--rounds", "1", "--json", str(file))

    figures = json.loads(file.read_text())
    assert figures["growth_mb"] == pytest.approx(figures["many_mb"] - figures["few_mb"])
    assert figures["few_mb"] > 10


@pytest.mark.slow
def test_the_memory_of_generated_images_is_measured(tmp_path: Path) -> None:
    """Images that a source makes up are uploaded with a journal, and the growth is told."""
    file = tmp_path / "figures.json"
    bench("benchmarks.memory", "--items", "20", "600", "--json", str(file))

    figures = json.loads(file.read_text())
    assert figures["growth_mb"] == pytest.approx(figures["many_mb"] - figures["few_mb"])
    assert len(figures["seconds"]) == 2


@pytest.mark.slow
def test_spreading_is_compared(tmp_path: Path) -> None:
    """The spread benchmark tells files a second, spread and not, and what the service could do."""
    file = tmp_path / "figures.json"
    bench("benchmarks.spread", "--quick", "--json", str(file))

    figures = json.loads(file.read_text())
    rates = figures["files_per_second"]
    assert rates.keys() == {"100", "None"}
    assert figures["ratio"] == pytest.approx(rates["100"] / rates["None"])
    assert all(0 < rates[most] <= 1.1 * figures["best_possible"][most] for most in rates)


def test_the_cost_of_an_upload_is_the_observed_one() -> None:
    """One at a time and eight at once take what was observed, at every size observed."""
    for held, alone, at_once in OBSERVED:
        assert cost(held) == pytest.approx((1 / at_once, alone))


@pytest.mark.slow
def test_resuming_is_measured(tmp_path: Path) -> None:
    """The journal that the benchmark makes is one that a run goes on with."""
    file = tmp_path / "figures.json"
    shown = bench("benchmarks.resume", "--quick", "--json", str(file))

    figures = json.loads(file.read_text())
    assert 0 < figures["to_first"] <= figures["to_end"]
    assert "200 uploaded, 1,900 done by an earlier run" in shown


@pytest.mark.slow
def test_reading_labels_is_measured(tmp_path: Path) -> None:
    """Every way reads all tasks of the generated export; streaming keeps one at a time."""
    file = tmp_path / "figures.json"
    shown = bench("benchmarks.labels", "--quick", "--no-sdk", "--json", str(file))

    readings = json.loads(file.read_text())["readings"]
    ways = [reading["way"] for reading in readings]
    assert ways == ["iterate", "export", "whole-file", "whole-file-by-hand"]
    assert all(reading["megabytes"] >= 1 and reading["seconds"] > 0 for reading in readings)
    assert "SKIPPED official-sdk: --no-sdk" in shown


@pytest.mark.slow
def test_the_loader_is_measured(tmp_path: Path) -> None:
    """The quick run answers all four questions, on screen and in JSON."""
    file = tmp_path / "figures.json"
    shown = bench("benchmarks.loader", "--quick", "--json", str(file))

    figures = json.loads(file.read_text())
    assert [0 <= row["share"] <= 1 for row in figures["wait"]] == [True] * 4
    assert [row["ratios"].keys() for row in figures["pace"]] == [{"loop", "queue"}]
    assert [row["limit_mb"] for row in figures["memory"]] == [1, 8]
    assert figures["cache"]["ratio"] > 0
    assert shown.count("goal") >= 4


@pytest.mark.slow
def test_the_limiter_is_compared_with_fixed_numbers(tmp_path: Path) -> None:
    """The quick run ends with a row for its one service, on screen and in JSON."""
    file = tmp_path / "figures.json"
    shown = bench("benchmarks.limiter", "--quick", "--json", str(file))

    (row,) = json.loads(file.read_text())["rows"]
    assert (row["latency"], row["places"]) == (0.05, 4)
    assert row["adaptive"]["rate"] > 0
    assert "50 ms,  4 at once: best pinned" in shown


def test_a_contender_that_uploads_nothing_is_caught(tmp_path: Path) -> None:
    """The server's count decides what a contender did, not the contender."""
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with minimal_server() as base_url, pytest.raises(ContenderError, match="uploaded 0 of 1 files"):
        run(Contender("none", "idle_one", python=fake_python(tmp_path)), tmp_path, base_url)


def fake_python(folder: Path) -> str:
    """Return an interpreter that claims to have uploaded a folder."""
    script = folder.parent / "fake-python"
    taken = '{"seconds": 1, "cpu_seconds": 1, "peak_rss": 1, "versions": {}}'
    script.write_text(f"#!/bin/sh\necho '{taken}'\n")
    script.chmod(0o755)
    return str(script)


def row(contender: str, size: int, rate: float) -> Row:
    """Return a row of which only the rate matters."""
    return Row(contender, size, 1, rate, rate, rate, 1.0, 1.0, 1.0)


def test_ratios_are_ours_by_the_others_and_know_their_goals() -> None:
    """A ratio above its goal is met; those against threads and SDK are for small files alone."""
    large = 3_000_000
    rows = [row(OURS, 8, 90), row(LOOP, 8, 100), row(SDK, 8, 30), row(OURS, 9, 1), row(SDK, 9, 1)]
    rows += [row(OURS, large, 9), row(LOOP, large, 10)]

    ratios = make_ratios(rows, small=8)
    assert [(r.other, r.ratio, r.goal, r.is_met) for r in ratios] == [
        (LOOP, 0.9, 0.85, True),
        (SDK, 3.0, 4.0, False),
        (SDK, 1.0, None, True),
        (LOOP, 0.9, 0.95, False),
    ]


@pytest.mark.slow
def test_the_begin_of_a_large_download_is_measured() -> None:
    """A first run and one that goes on, each to its first result."""
    shown = bench("benchmarks.first_download", "--quick")

    assert "2,000 media, first run: " in shown
    assert "2,000 media, second run: " in shown


@pytest.mark.slow
def test_reading_coco_is_measured(tmp_path: Path) -> None:
    """Every reader finds all objects, memory stays flat, and all images are imported."""
    file = tmp_path / "figures.json"
    bench("benchmarks.formats", "--annotations", "2000", "--rounds", "1", "--json", str(file))

    readings = json.loads(file.read_text())["readings"]
    found = {way: reading["found"] for way, reading in readings.items()}
    labelled = found.pop("import")
    assert 450 < labelled <= 500
    assert found == {
        "ours": 2000,
        "ours-as-values": 2000,
        "pycocotools": 2000,
        "labelformat": 2000,
        "ours, 10 times": 20_000,
        "pycocotools, 10 times": 20_000,
    }
    growth = readings["ours, 10 times"]["peak"] - readings["ours"]["peak"]
    assert growth < formats.GOAL_GROWTH_MB * 1e6 / 4


@pytest.mark.slow
def test_uploads_from_a_store_are_measured(tmp_path: Path) -> None:
    """The quick run has both rates, and the peaks of memory by keys."""
    file = tmp_path / "figures.json"
    bench("benchmarks.cloud", "--quick", "--json", str(file))
    figures = json.loads(file.read_text())
    assert figures["ratio"] > 0
    assert "60 keys" in bench("benchmarks.cloud", "--quick", "--memory")
