"""The lock: what it says, how it merges, what it refuses, and that no content is ever shrunk twice."""

from __future__ import annotations

import dataclasses
import json
import math
import multiprocessing
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disk import POLICY, commit, content, dies_at, entry, git, names, repository, sha, shrunk, workplace
from semcompress_plugin import entries as module
from semcompress_plugin import files, settle
from semcompress_plugin.entries import HEADER, Index, decode, encode
from semcompress_plugin.errors import LockError
from semcompress_plugin.lock import Lock, parse, render
from semcompress_plugin.settle import Names, Settlement

paths = st.binary(min_size=1, max_size=20).filter(lambda name: 0 not in name).map(os.fsdecode)
file_names = paths.filter(lambda name: "/" not in name and name not in (".", ".."))
numbers = st.floats(allow_nan=False) | st.integers(-100, 100)
entries = st.builds(
    entry,
    st.integers(0, 5),
    relation=st.sampled_from(["replaced", "beside", "kept"]),
    policy=st.sampled_from([POLICY, "f" * 16]),
    path=paths.filter(lambda path: path.rpartition("/")[2] not in ("", ".", "..")),
    name=file_names,
    mode=st.integers(0, 0o7777),
    blob=st.none() | st.just("b" * 40),
    compressor=st.none() | st.text(max_size=5),
    settings=st.dictionaries(st.text(max_size=5), numbers, max_size=3),
    scores=st.dictionaries(st.text(max_size=5), st.dictionaries(st.text(max_size=5), numbers, max_size=2), max_size=2),
    made_with=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
)


@given(st.lists(entries, max_size=6), st.randoms())
@settings(max_examples=150)
def test_what_is_written_is_read_and_order_does_not_matter(some, random):
    text = render(some)
    assert text.encode()  # valid UTF-8 whatever the names are
    assert render(parse(text, "lock")) == text
    random.shuffle(some)
    assert render(some) == text
    for read in parse(text, "lock"):
        assert any(dataclasses.replace(read, scores={}) == dataclasses.replace(one, scores={}) for one in some)


@given(st.lists(entries, max_size=4), st.lists(entries, max_size=4))
@settings(max_examples=50)
def test_a_merge_is_the_union_of_lines_whoever_merges(ours, theirs):
    first, second = render(ours).splitlines(keepends=True), render(theirs).splitlines(keepends=True)
    # what 'merge=union' makes of two locks, either way round
    assert render(parse("".join(first + second), "x")) == render(parse("".join(second + first), "x"))
    assert render(parse("".join(first + second), "x")) == render([*ours, *theirs])


def test_scores_are_rounded_and_numbers_that_json_lacks_survive():
    scores = {"psnr": {"db": math.inf}, "classifier": {"js_divergence": 0.012345678901}}
    (read,) = parse(render([entry(1, scores=scores)]), "lock")
    assert read.scores == {"psnr": {"db": math.inf}, "classifier": {"js_divergence": 0.0123457}}
    assert '"quality": 40,' not in render([entry(1, settings={"quality": 40.0})])
    assert '"quality": 40}' in render([entry(1, settings={"quality": 40.0})])


def test_the_lock_is_lines_of_json_sorted_as_text():
    lines = render([entry(3), entry(1), entry(2)]).splitlines()
    assert lines == sorted(lines)
    assert [json.loads(line)["looks"] for line in lines[1:]] == [7, 7, 7]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{HEADER}\n<<<<<<< HEAD\n", r"x\.lock:2: .*conflict markers"),
        (f"{HEADER}\n=======\n", r"x\.lock:2: .*run `semcompress lock --merge`"),
        (render([entry(1)])[:-30], r"x\.lock:2: not a line of a lock"),
        (render([entry(1)]).replace('"replaced"', '"eaten"'), r"x\.lock:2: .*eaten"),
        (render([entry(1)]).replace('"looks": 7', '"looks": {}'), r"x\.lock:2: "),
        (render([entry(1)]).replace('"mode": "644"', '"mode": "rw"'), r"x\.lock:2: "),
        (render([entry(1)]).replace('"made_with": {"semcompress": "0.1.0"}', '"made_with": 1'), r"x\.lock:2: "),
        (f"{HEADER}\n[]\n", r"x\.lock:2: "),
        ("[" * 100000, r"x\.lock:1: "),
        (render([entry(1)]).split("\n", 1)[1], r"x\.lock:1: expected the header"),
        ('{"format": "semcompress.lock", "version": 2}\n', r"x\.lock:1: .*newer.*upgrade"),
        ('{"format": "package-lock", "version": 1}\n', r"x\.lock:1: not the header"),
    ],
)
def test_a_lock_that_cannot_be_used_says_where_and_what_to_do(text, words):
    with pytest.raises(LockError, match=words) as caught:
        parse(text, "x.lock")
    assert "\n" not in str(caught.value)


def test_windows_line_ends_blank_lines_and_strange_spacing_are_read(tmp_path):
    text = render([entry(1), entry(2)])
    assert parse("\ufeff" + text.replace("\n", "\r\n\r\n").replace('": ', '":'), "x") == parse(text, "x")
    assert parse("", "x") == ()


@pytest.mark.parametrize("lines", ["", '{"something": "new"}\n'])
def test_a_newer_lock_is_never_rewritten(tmp_path, lines):
    text = '{"format": "semcompress.lock", "version": 2}\n' + lines
    (tmp_path / "semcompress.lock").write_text(text)
    with pytest.raises(LockError, match="upgrade"):
        Lock(tmp_path / "semcompress.lock", tmp_path / "state").add([entry(1)])
    assert (tmp_path / "semcompress.lock").read_text() == text


@pytest.mark.parametrize(
    ("key", "value"),
    [("name", ""), ("name", ".."), ("name", "../b.jpg"), ("name", "b\0.jpg"), ("path", "b\0.jpg"), ("mode", "-1"),
     ("mode", "7" * 30), ("mode", "rw")],
)  # fmt: skip
def test_what_a_stranger_wrote_into_a_line_is_a_damaged_line(key, value):
    record = json.loads(encode(entry(1))) | {key: value}
    with pytest.raises(ValueError, match=r"not (a |permission)"):
        decode(json.dumps(record))


def test_a_damaged_lock_is_never_rewritten(tmp_path):
    text = render([entry(1)]) + "<<<<<<< HEAD\n"
    (tmp_path / "semcompress.lock").write_text(text)
    with pytest.raises(LockError, match="conflict"):
        Lock(tmp_path / "semcompress.lock", tmp_path / "state").add([entry(2)])
    assert (tmp_path / "semcompress.lock").read_text() == text


def test_fields_of_a_later_version_survive(tmp_path):
    text = render([entry(1)]).replace("}}\n", '}, "later": 1}\n')
    (tmp_path / "semcompress.lock").write_text(text)
    Lock(tmp_path / "semcompress.lock", tmp_path / "state").add([entry(2)])
    assert '"later": 1' in (tmp_path / "semcompress.lock").read_text()


def test_a_lock_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "semcompress.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LockError, match="regular file"):
        Lock(tmp_path / "semcompress.lock", tmp_path / "state").add([entry(1)])
    assert not (tmp_path / "elsewhere").exists()


def test_of_two_findings_about_one_content_the_same_is_taken_whatever_the_order_of_lines(tmp_path):
    header, *lines = render([entry(1), entry(2)]).splitlines(keepends=True)
    rival = render([entry(1, looks=8)]).splitlines(keepends=True)[1]
    for order in ([rival, *lines], [*lines, rival]):
        (tmp_path / "semcompress.lock").write_text("".join([header, *order]))
        assert Lock(tmp_path / "semcompress.lock").by_output(entry(1).output.sha256)[0].looks == 8


def opened(tmp_path, *some):
    Lock(tmp_path / "semcompress.lock", tmp_path / "state").add(some)
    return Lock(tmp_path / "semcompress.lock", tmp_path / "state")


def test_outputs_are_settled_under_their_policy_and_known_under_another(tmp_path):
    lock = opened(tmp_path, entry(1), entry(2, relation="kept", output=entry(2).original))
    assert lock.settled(entry(1).output.sha256, POLICY) == entry(1)
    assert lock.settled(entry(2).original.sha256, POLICY).relation == "kept"
    assert lock.settled(entry(1).output.sha256, "changed") is None
    assert lock.by_output(entry(1).output.sha256) == (entry(1),)


def test_a_restored_original_is_not_settled_but_remembered(tmp_path):
    lock = opened(tmp_path, entry(1))
    assert lock.settled(entry(1).original.sha256, POLICY, tmp_path / "img/1.jpg") is None
    assert lock.by_original(entry(1).original.sha256)[0].settings == {"scale": 0.5, "quality": 40}


def test_two_originals_with_one_output_and_one_content_under_two_rules(tmp_path):
    same = entry(1).output
    lock = opened(tmp_path, entry(1), entry(2, output=same), entry(1, policy="other"))
    assert len(lock.by_output(same.sha256)) == 3
    assert lock.settled(same.sha256, "other") == entry(1, policy="other")
    assert lock.settled(same.sha256, POLICY).policy == POLICY


def test_beside_outputs_settle_their_original_while_they_lie_there(tmp_path):
    webp, avif = content(b"as webp"), content(b"as avif!")
    lock = opened(
        tmp_path,
        entry(1, relation="beside", output=webp, path="img/1.webp"),
        entry(1, relation="beside", output=avif, path="img/1.avif"),
    )
    picture = tmp_path / "img" / "1.jpg"
    picture.parent.mkdir()
    (tmp_path / "img/1.webp").write_bytes(b"as webp")
    assert lock.settled(entry(1).original.sha256, POLICY, picture) is None
    (tmp_path / "img/1.avif").write_bytes(b"as avif!")
    assert lock.settled(entry(1).original.sha256, POLICY, picture) is not None
    assert lock.settled(entry(1).original.sha256, "changed", picture) is None
    # the outputs themselves are never a picture to start from
    assert lock.settled(webp.sha256, "whatever") is not None
    # renamed together
    for suffix in (".webp", ".avif"):
        (tmp_path / f"img/1{suffix}").rename(tmp_path / f"img/renamed{suffix}")
    assert lock.settled(entry(1).original.sha256, POLICY, picture) is None
    assert lock.settled(entry(1).original.sha256, POLICY, picture.with_name("renamed.jpg")) is not None


def test_adding_what_is_there_changes_no_byte_and_keeps_the_mode(tmp_path):
    lock = opened(tmp_path, entry(1))
    lock.path.chmod(0o600)
    before = lock.path.stat()
    lock.add([entry(1)])
    assert lock.path.stat().st_mtime_ns == before.st_mtime_ns
    lock.add([entry(2)])
    assert stat.S_IMODE(lock.path.stat().st_mode) == 0o600


def test_a_new_finding_takes_the_place_of_an_older_one(tmp_path):
    lock = opened(tmp_path, entry(1))
    lock.add([entry(1, looks=1)])
    assert [one.looks for one in parse(lock.path.read_text(), "x")] == [1]
    assert lock.by_output(entry(1).output.sha256)[0].looks == 1


def add_fifty(folder, start, both_are_there):
    both_are_there.wait()
    for number in range(start, start + 50):
        lock, _ = workplace(folder)
        lock.add([entry(number)])


def test_two_processes_at_once_lose_no_entry(tmp_path):
    repository(tmp_path)
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(2)
    processes = [spawn.Process(target=add_fifty, args=(tmp_path, start, barrier)) for start in (0, 50)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(parse((tmp_path / "semcompress.lock").read_text(), "x")) == 100
    assert len((tmp_path / ".git/semcompress/journal").read_text().split()) > 100
    assert git(tmp_path, "status", "--porcelain") == "?? semcompress.lock\n"


def test_a_forgotten_lock_is_made_up_for_by_the_journal_in_every_worktree(tmp_path):
    root = repository(tmp_path / "r")
    commit(root)
    (root / "sub").mkdir()
    lock, originals = workplace(root / "sub")
    lock.add([entry(1), entry(2)])
    lock.path.unlink()
    git(root, "worktree", "add", "-q", "../w")
    other = Lock(tmp_path / "w/semcompress.lock", workplace(tmp_path / "w")[1].state)
    assert other.settled(entry(1).output.sha256, POLICY).path == "sub/img/1.jpg"
    fresh = Lock(root / "sub/semcompress.lock", originals.state)
    assert fresh.missing_from_lock == ()
    assert fresh.settled(entry(1).output.sha256, POLICY) == entry(1)
    assert fresh.missing_from_lock == (entry(1),)
    fresh.put_back()
    assert fresh.missing_from_lock == ()
    assert parse(fresh.path.read_text(), "x") == (entry(1),)


def test_the_journal_knows_the_policy_that_a_stale_lock_does_not(tmp_path):
    lock = opened(tmp_path, entry(1))
    stale = lock.path.read_text()
    lock.add([entry(1, policy="newer")])
    lock.path.write_text(stale)
    lock = Lock(tmp_path / "semcompress.lock", tmp_path / "state")
    assert lock.settled(entry(1).output.sha256, "newer") is not None
    assert [one.policy for one in lock.missing_from_lock] == ["newer"]


def test_locks_that_share_a_folder_of_originals_find_each_others_entries(tmp_path):
    for name in ("site", "site/blog"):
        (tmp_path / name).mkdir()
    lock, _ = workplace(tmp_path / "site/blog", "../../kept")
    lock.add([entry(1)])
    above, _ = workplace(tmp_path / "site", "../kept")
    assert above.by_output(entry(1).output.sha256)[0].path == "blog/img/1.jpg"


def test_a_torn_journal_costs_only_its_torn_line(tmp_path):
    lock = opened(tmp_path, entry(1), entry(2))
    journal = tmp_path / "state" / "journal"
    journal.write_bytes(journal.read_bytes()[:-40])
    lock.path.unlink()
    opened(tmp_path, entry(3))
    (tmp_path / "semcompress.lock").unlink()
    lock = Lock(tmp_path / "semcompress.lock", tmp_path / "state")
    known = [bool(lock.by_output(entry(number).output.sha256)) for number in (1, 2, 3)]
    assert known == [True, False, True]


def test_without_a_repository_or_originals_nothing_lies_about(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMCOMPRESS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "site").mkdir()
    lock, _ = workplace(tmp_path / "site", "none")
    lock.add([entry(1)])
    assert names(tmp_path / "site") == ["semcompress.lock"]


def test_a_run_with_nothing_to_do_imports_little():
    code = (
        "import sys; from semcompress_plugin import lock, files, originals, settle, restore, walk, cache;"
        "print([m for m in ('numpy', 'PIL', 'onnxruntime', 'filelock', 'platformdirs', 'asyncio') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"[]\n"


def merged(tmp_path, attributes, base, ours, theirs):
    root = repository(tmp_path)
    if attributes:
        (root / ".gitattributes").write_text(attributes)
    if base:
        (root / "semcompress.lock").write_text(render(base))
    commit(root)
    git(root, "checkout", "-q", "-b", "theirs")
    (root / "semcompress.lock").write_text(render([*base, *theirs]))
    commit(root)
    git(root, "checkout", "-q", "main")
    (root / "semcompress.lock").write_text(render([*base, *ours]))
    commit(root)
    done = subprocess.run(["git", "-C", root, "merge", "-q", "-m", "merge", "theirs"], capture_output=True, check=False)
    return done.returncode, (root / "semcompress.lock").read_text()


@pytest.mark.parametrize("base", [[], [entry(number) for number in range(20)]])
def test_union_merges_are_complete_and_without_conflict(tmp_path, base):
    ours, theirs = [entry(number) for number in range(100, 140)], [entry(number) for number in range(200, 240)]
    code, text = merged(tmp_path, "semcompress.lock merge=union\n", base, ours, theirs)
    assert code == 0
    assert render(parse(text, "x")) == render([*base, *ours, *theirs])
    assert Lock(tmp_path / "semcompress.lock", tmp_path / "state").by_output(entry(239).output.sha256)


def test_a_conflict_mended_by_deleting_the_marker_lines_loses_nothing(tmp_path):
    ours, theirs = [entry(number) for number in range(10)], [entry(number) for number in range(10, 20)]
    code, text = merged(tmp_path, "", [], ours, theirs)
    assert code != 0
    with pytest.raises(LockError, match="run `semcompress lock --merge`"):
        parse(text, "x")
    mended = "".join(line for line in text.splitlines(keepends=True) if line[0] == "{")
    assert render(parse(mended, "x")) == render([*ours, *theirs])


# ---- settling: what reaches the disk, in which order


OLD = {f"{number}.jpg": b"old %d" % number * 50 for number in range(3)}
NEW = {name: b"new " + name.encode() for name in OLD}


def pictures(root):
    repository(root)
    for name, data in OLD.items():
        (root / name).write_bytes(data)
    commit(root)


def run(root, setting=None):
    """What a run of the program does here: settle what is not settled, put back what the lock lacks."""
    lock, originals = workplace(root, setting)
    group = [
        shrunk(root / name, lock, NEW[name])
        for name in OLD
        if lock.settled(sha((root / name).read_bytes()), POLICY) is None
    ]
    assert all(one.snapshot.data == OLD[one.snapshot.path.name] for one in group), "a second generation"
    reasons = settle.settle(group, lock, originals)
    lock.put_back()
    return reasons


@pytest.mark.parametrize("forgotten", [False, True])
def test_killed_between_any_two_disk_operations_nothing_is_lost_or_shrunk_twice(tmp_path, forgotten):
    event = 1
    while True:
        root = tmp_path / str(event)
        pictures(root)
        killed = dies_at(event, lambda root=root: run(root))
        lock, originals = workplace(root)
        state = {name: (root / name).read_bytes() for name in OLD}
        for name, data in state.items():
            assert data in (OLD[name], NEW[name]), f"{name} is torn after event {event}"
            if data == NEW[name]:
                (known,) = lock.by_output(sha(data))
                assert originals.get(known) == OLD[name]
        stray = [line[3:] for line in git(root, "status", "--porcelain").splitlines()]
        assert set(stray) <= {*OLD, "semcompress.lock"}, f"strays after event {event}"
        if not killed:
            break
        if forgotten and lock.path.exists():
            lock.path.unlink()
        assert set(run(root)) <= {None}
        assert {name: (root / name).read_bytes() for name in OLD} == NEW
        assert len(parse(lock.path.read_text(), "x")) == 3
        assert not [name for name in names(root / ".git/semcompress") if name.endswith(".tmp")]
        event += 1
    assert event > 30


def test_one_that_changed_meanwhile_does_not_keep_the_others_from_being_settled(tmp_path, make_read_only):
    pictures(tmp_path)
    lock, originals = workplace(tmp_path)
    group = [shrunk(tmp_path / name, lock, NEW[name]) for name in OLD]
    (tmp_path / "1.jpg").write_bytes(b"edited")
    make_read_only(tmp_path / "2.jpg")
    reasons = settle.settle(group, lock, originals)
    assert reasons[0] is None
    assert "has changed" in reasons[1]
    assert "read-only" in reasons[2]
    assert [(tmp_path / name).read_bytes() for name in OLD] == [NEW["0.jpg"], b"edited", OLD["2.jpg"]]
    assert len(parse(lock.path.read_text(), "x")) == 1


def test_originals_are_kept_then_the_journal_then_the_lock_then_the_files(tmp_path, monkeypatch):
    pictures(tmp_path)
    lock, originals = workplace(tmp_path)
    order = []
    keep, append, write = originals.keep, lock._journal.append, lock._write
    monkeypatch.setattr(originals, "keep", lambda *a: (order.append("originals"), keep(*a))[1])
    monkeypatch.setattr(lock._journal, "append", lambda *a, **o: (order.append("journal"), append(*a, **o))[1])
    monkeypatch.setattr(lock, "_write", lambda *a: (order.append("lock"), write(*a))[1])
    real = files.Staged.commit
    monkeypatch.setattr(files.Staged, "commit", lambda self, **o: (order.append(self.path.name), real(self, **o))[1])
    settle.settle([shrunk(tmp_path / "0.jpg", lock, b"new")], lock, originals)
    assert order == ["originals", "journal", "lock", "semcompress.lock", "0.jpg"]


def test_kept_pictures_are_recorded_and_no_original_is_stored_for_them(tmp_path):
    pictures(tmp_path)
    lock, originals = workplace(tmp_path)
    snapshot = files.read(tmp_path / "0.jpg")
    kept = entry(0, relation="kept", original=content(snapshot.data), output=content(snapshot.data), generation=0)
    assert settle.settle([Settlement(snapshot, (kept,))], lock, originals) == [None]
    assert workplace(tmp_path)[0].settled(snapshot.sha256, POLICY) == kept
    assert git(tmp_path, "for-each-ref", "refs/semcompress") == ""


def beside(tmp_path, lock, new):
    snapshot = files.read(tmp_path / "0.jpg")
    line = entry(0, relation="beside", original=content(snapshot.data), output=content(new), path="0.webp")
    return Settlement(snapshot, (line,), {tmp_path / "0.webp": new})


def test_a_file_beside_is_written_anew_when_it_is_ours_and_spared_when_it_is_not(tmp_path):
    pictures(tmp_path)
    lock, originals = workplace(tmp_path)
    assert settle.settle([beside(tmp_path, lock, b"webp")], lock, originals) == [None]
    assert settle.settle([beside(tmp_path, lock, b"smaller")], lock, originals) == [None]
    assert (tmp_path / "0.webp").read_bytes() == b"smaller"
    (tmp_path / "0.webp").write_bytes(b"drawn by hand")
    (reason,) = settle.settle([beside(tmp_path, lock, b"tiny")], lock, originals)
    assert "not ours" in reason
    assert (tmp_path / "0.webp").read_bytes() == b"drawn by hand"
    assert (tmp_path / "0.jpg").read_bytes() == OLD["0.jpg"]


def test_a_picture_replaced_under_another_name_goes_once_the_new_one_stands(tmp_path):
    pictures(tmp_path)
    event = 1
    while True:
        lock, originals = workplace(tmp_path)
        (tmp_path / "0.jpg").write_bytes(OLD["0.jpg"])
        (tmp_path / "0.webp").unlink(missing_ok=True)
        snapshot = files.read(tmp_path / "0.jpg")
        line = entry(0, original=content(snapshot.data), output=content(b"webp"), path="0.webp", name="0.jpg")
        plan = Settlement(snapshot, (line,), {tmp_path / "0.webp": b"webp"}, removed=True)
        killed = dies_at(event, lambda plan=plan, lock=lock, o=originals: settle.settle([plan], lock, o))
        there = [(tmp_path / name).exists() for name in ("0.jpg", "0.webp")]
        assert any(there)
        if not killed:
            break
        event += 1
    assert there == [False, True]


def test_a_picture_that_changed_is_not_replaced_under_another_name_either(tmp_path):
    pictures(tmp_path)
    lock, originals = workplace(tmp_path)
    snapshot = files.read(tmp_path / "0.jpg")
    line = entry(0, original=content(snapshot.data), output=content(b"webp"), path="0.webp", name="0.jpg")
    (tmp_path / "0.jpg").write_bytes(b"edited")
    plan = Settlement(snapshot, (line,), {tmp_path / "0.webp": b"webp"}, removed=True)
    assert "has changed" in settle.settle([plan], lock, originals)[0]
    assert (tmp_path / "0.jpg").read_bytes() == b"edited"
    assert not (tmp_path / "0.webp").exists()
    assert not lock.path.exists()


def test_lines_of_many_copies_of_one_picture_are_decoded_once(monkeypatch):
    decoded = []
    really = module.decode
    monkeypatch.setattr(module, "decode", lambda line: decoded.append(line) or really(line))
    module._decoded_once.cache_clear()
    line = encode(entry(1, path="a.jpg"))
    index = Index()
    index.add(line.replace('"path": "', f'"path": "{number}/') for number in range(500))
    for _ in range(500):
        assert len(index.by_output(really(line).output.sha256)) == 500
    assert len(decoded) == 500


def test_a_folder_is_listed_once_for_all_pictures_in_it(tmp_path, monkeypatch):
    listed = []
    really = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: listed.append(self) or really(self))
    (tmp_path / "Photo.webp").touch()
    names = Names()
    assert names.same_but_for_case(tmp_path / "photo.webp") == "Photo.webp"
    assert [names.same_but_for_case(tmp_path / f"{number}.webp") for number in range(9)] == [None] * 9
    assert listed == [tmp_path]
