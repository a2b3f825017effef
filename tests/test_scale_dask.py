"""Builds by real workers: a Dask scheduler, two worker processes, an S3 endpoint, all on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from pictures import encoded, photo
from semcompress_plugin.images import decode_candidate
from test_isolation import HARM
from test_scale import POLICY

s3fs = pytest.importorskip("s3fs")
pytest.importorskip("distributed")
moto = pytest.importorskip("moto.server")

PICTURES = 10
_PATIENCE = 300


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[s3fs.S3FileSystem]:
    """A bucket with pictures under ``in/``, behind an endpoint that every child process finds."""
    server = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    system = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()  # it outlives its server
    system.mkdir("bucket")
    for seed in range(PICTURES):
        system.pipe_file(f"bucket/in/{seed % 3}/{seed}.jpg", encoded(photo((160, 120), seed), "JPEG", quality=97))
    system.pipe_file("bucket/in/notes.txt", b"read me")
    system.pipe_file("bucket/in/.semcompress.yaml", POLICY.encode())
    yield system
    server.stop()


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts ``python -m MODULE``, and ends it with the test."""
    begun: list[subprocess.Popen[str]] = []

    def begin(module: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", module, *arguments]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        begun.append(subprocess.Popen(command, env={**os.environ, **variables}, text=True, **quiet))
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.wait()


def cluster(start, tmp_path: Path, **variables: str) -> tuple[str, list[subprocess.Popen[str]]]:
    """A scheduler's address, and two workers of one thread each."""
    address = scheduler(start, tmp_path, **variables)
    return address, [worker(start, tmp_path, address, name) for name in ("one", "two")]


def scheduler(start, tmp_path: Path, **variables: str) -> str:
    file = tmp_path / "scheduler.json"
    start(
        "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
        "--scheduler-file", str(file), **variables,
    )  # fmt: skip
    until(lambda: file.exists() and file.stat().st_size > 0)
    return str(json.loads(file.read_text())["address"])


def worker(start, tmp_path: Path, address: str, name: str) -> subprocess.Popen[str]:
    return start(
        "distributed.cli.dask_worker", address, "--host", "127.0.0.1", "--nthreads", "1",
        "--no-nanny", "--no-dashboard", "--memory-limit", "0", "--local-directory", str(tmp_path), "--name", name,
    )  # fmt: skip


def until(happens: Callable[[], object]) -> None:
    end = time.monotonic() + _PATIENCE
    while not happens():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.25)


def begin(
    executor: str, *more: str, source: str | Path = "s3://bucket/in", out: str | Path = "s3://bucket/out"
) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "semcompress_plugin", "build", str(source), str(out)]
    command += ["--executor", executor, "--shard-size", "2", "--format", "json", *more]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[str]) -> dict:
    out, said = process.communicate(timeout=_PATIENCE)
    assert process.returncode in (0, 1), said
    return {**json.loads(out), "code": process.returncode, "said": said}


def pictures(bucket) -> list[str]:
    return [key for key in bucket.find("bucket/out") if key.endswith(".jpg")]


def test_a_worker_killed_in_the_middle_costs_no_file_and_a_rerun_looks_at_nothing(bucket, start, tmp_path):
    address, workers = cluster(start, tmp_path)
    building = begin(f"dask:{address}")
    until(lambda: pictures(bucket) or building.poll() is not None)
    workers[0].send_signal(signal.SIGKILL)
    assert len(pictures(bucket)) < PICTURES, "it was over before it began"
    report = finish(building)
    assert (report["code"], report["totals"]["failed"], report["totals"]["compressed"]) == (0, 0, PICTURES)
    assert len(pictures(bucket)) == PICTURES
    for key in pictures(bucket):
        data = bucket.cat_file(key)
        assert len(data) < bucket.size(key.replace("/out/", "/in/"))
        decode_candidate(data)
    assert bucket.cat_file("bucket/out/notes.txt") == b"read me"
    again = finish(begin(f"dask:{address}"))
    assert (again["totals"]["looks"], again["totals"]["cached"]) == (0, PICTURES)


def test_on_workers_of_dask_too_a_decoder_that_crashes_or_hangs_costs_one_picture(tmp_path, monkeypatch):
    source, harm = tmp_path / "in", tmp_path / "harm"
    source.mkdir()
    harm.mkdir()
    (harm / "sitecustomize.py").write_text(HARM)
    monkeypatch.setenv("PYTHONPATH", str(harm), prepend=os.pathsep)
    for name in ("crash", "hang", "sound"):
        data = encoded(photo((96, 72)), "JPEG", quality=97, comment=name.encode())
        (source / f"{name}.jpg").write_bytes(data)
    (source / ".semcompress.yaml").write_text(POLICY + "isolate: true\nlimits: {max_seconds: 3}\n")
    report = finish(begin("dask", "--jobs", "1", source=source, out=tmp_path / "out"))
    assert (report["code"], report["totals"]["compressed"], report["totals"]["failed"]) == (1, 1, 2), report["said"]
    reasons = {result["path"]: result["reason"] for result in report["results"]}
    assert "crashed its decoder (SIGSEGV)" in reasons["crash.jpg"]
    assert reasons["hang.jpg"] == "took longer than 3 s to decode: raise limits.max_seconds in the policy"


def test_a_prefix_with_nothing_under_it_is_an_error(bucket):
    build = begin("threads", source="s3://bucket/typo")
    said = build.communicate(timeout=_PATIENCE)[1]
    assert (build.returncode, bucket.find("bucket/out")) == (2, [])
    assert said == "semcompress: s3://bucket/typo: cannot be listed: nothing lies there\n"


def test_a_scheduler_without_workers_is_told_of_once_and_waited_for(tmp_path, start):
    source = tmp_path / "in"
    source.mkdir()
    (source / "note.txt").write_text("a file")
    address = scheduler(start, tmp_path)
    building = begin(f"dask:{address}", source=source, out=tmp_path / "out")
    assert building.stderr is not None
    assert building.stderr.readline() == f"semcompress: waits for workers: the scheduler at {address} has none\n"
    time.sleep(6)
    worker(start, tmp_path, address, "late")
    assert finish(building)["said"] == ""


def test_a_derived_tree_among_the_sources_ends_the_build(bucket, tmp_path):
    (tmp_path / "p.yaml").write_text(POLICY)
    made = begin("threads", "--policy", str(tmp_path / "p.yaml"), source="s3://bucket/in/0", out="s3://bucket/in/3")
    assert finish(made)["code"] == 0
    other = begin("threads", out="s3://bucket/other")
    said = other.communicate(timeout=_PATIENCE)[1]
    assert (other.returncode, bucket.find("bucket/other/3")) == (2, [])
    assert "s3://bucket/in/3: was derived by an earlier build" in said


@pytest.mark.long
def test_a_shard_whose_workers_die_too_often_is_reported_and_the_next_run_does_it(bucket, start, tmp_path):
    address, workers = cluster(start, tmp_path, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    building = begin(f"dask:{address}")
    until(lambda: pictures(bucket) or building.poll() is not None)
    workers[0].send_signal(signal.SIGKILL)
    report = finish(building)
    assert report["code"] == 1
    assert all("was given up (KilledWorker" in result["reason"] for result in report["results"])
    assert 1 <= report["totals"]["failed"] <= 2
    again = finish(begin(f"dask:{address}"))
    assert (again["code"], again["totals"]["compressed"]) == (0, PICTURES)
    assert again["totals"]["cached"] > 0


@pytest.mark.long
def test_a_cluster_of_ones_own_gives_the_same_files_as_threads(bucket, capsys):
    assert finish(begin("dask", "--jobs", "2"))["totals"]["compressed"] == PICTURES
    ours = {key: bucket.cat_file(key) for key in pictures(bucket)}
    bucket.rm("bucket/out", recursive=True)
    assert finish(begin("threads", "--jobs", "1"))["totals"]["compressed"] == PICTURES
    assert {key: bucket.cat_file(key) for key in pictures(bucket)} == ours
