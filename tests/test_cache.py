"""The cache may be shared, full, damaged or deleted: it is only ever a miss."""

from __future__ import annotations

import multiprocessing
import os
import shutil

import pytest

from semcompress_plugin.cache import Cache, Cached, cache_key, default_folder


def entries(folder):
    return [path for path in (folder / "results").rglob("*") if path.is_file()]


def test_what_is_put_is_got(tmp_path):
    cache = Cache(tmp_path)
    assert cache.get("k") is None
    cache.put("k", {"scores": [1, 0.5]}, {"a.webp": b"\0\n\xff", "b": b""})
    assert Cache(tmp_path).get("k") == Cached({"scores": [1, 0.5]}, {"a.webp": b"\0\n\xff", "b": b""})


def test_keys_depend_on_everything_that_decides_and_not_on_order():
    assert cache_key("source", {"a": 1, "b": 2}) == cache_key("source", {"b": 2, "a": 1})
    assert len({cache_key("s", {"pillow": "13"}), cache_key("s", {"pillow": "14"}), cache_key("s", "pillow")}) == 3


@pytest.mark.parametrize("position", [0, 10, 70, 90, -1])
def test_a_damaged_entry_is_a_miss(tmp_path, position):
    cache = Cache(tmp_path)
    cache.put("k", {"x": 1}, {"p": b"payload" * 5})
    (path,) = entries(tmp_path)
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    assert cache.get("k") is None
    path.write_bytes(bytes(data)[:40])
    assert cache.get("k") is None


def test_deletion_at_any_time_is_survived(tmp_path):
    cache = Cache(tmp_path / "c")
    cache.put("k", {})
    shutil.rmtree(tmp_path / "c")
    assert cache.get("k") is None
    cache.put("k", {})
    assert cache.get("k") is not None


def test_a_cache_that_cannot_be_written_is_silent(tmp_path):
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file" / "cache")
    cache.put("k", {})
    assert cache.get("k") is None


def test_the_longest_unused_go_first(tmp_path):
    cache = Cache(tmp_path, limit=10_000)
    for number in range(8):
        cache.put(str(number), {}, {"p": bytes(1000)})
        os.utime(cache._path(str(number)), (number + 1, number + 1))
    assert cache.get("0") is not None  # used just now
    cache = Cache(tmp_path, limit=5_000)
    cache.put("new", {}, {"p": bytes(100)})
    assert cache.get("0") is not None
    assert cache.get("new") is not None
    assert cache.get("1") is None
    assert sum(path.stat().st_size for path in entries(tmp_path)) <= 5_000


def test_the_limit_holds_during_one_run(tmp_path):
    cache = Cache(tmp_path, limit=20_000)
    for number in range(100):
        cache.put(str(number), {}, {"p": bytes(1000)})
    assert sum(path.stat().st_size for path in entries(tmp_path)) <= 21_500
    cache.put("giant", {}, {"p": bytes(30_000)})
    assert cache.get("giant") is None


def work(folder):
    cache = Cache(folder, limit=50_000)
    for number in range(100):
        cache.put(str(number % 10), {"n": number}, {"p": b"%d" % number * 100})
        found = cache.get(str(number % 10))
        assert found is None or found.payloads["p"] == b"%d" % found.meta["n"] * 100
    return True


def test_two_processes_share_it(tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert all(pool.map(work, [tmp_path, tmp_path]))


def test_its_place_can_be_chosen_and_backups_pass_it_by(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMCOMPRESS_CACHE", str(tmp_path / "here"))
    assert default_folder() == tmp_path / "here"
    Cache().put("k", {})
    assert (tmp_path / "here/CACHEDIR.TAG").read_bytes().startswith(b"Signature: 8a477f597d28d172789f06886806bc55")
    monkeypatch.delenv("SEMCOMPRESS_CACHE")
    assert default_folder().name == "semcompress"
