"""Many pictures: batches, threads, memory, and that one failure stays one failure."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from pictures import Thumbnails, photo, reader, reference, registry, rule
from semcompress_plugin import runner as runner_module
from semcompress_plugin.engine import decide, drive
from semcompress_plugin.errors import ImageError, PluginError
from semcompress_plugin.policy import parse_policy
from semcompress_plugin.runner import Job, Runner
from semcompress_plugin.workshop import Workshop


def jobs(known, pictures, **rule_options):
    how = rule(known, "jpeg", **rule_options)
    return [
        Job(index, lambda picture=picture: picture, lambda reference: decide(reference, how, known))
        for index, picture in enumerate(pictures)
    ]


def test_results_are_the_same_as_one_picture_at_a_time_whatever_the_number_of_threads():
    known = registry()
    pictures = [reference(photo(seed=seed)) for seed in range(6)]
    alone = [drive(decide(picture, rule(known, "jpeg"), known), Workshop(known).perform) for picture in pictures]
    for threads in (1, 3):
        done = list(Runner(Workshop(known), threads).run(jobs(known, pictures)))
        assert sorted(d.key for d in done) == list(range(6))
        for d in done:
            assert d.answer[0].candidate.data == alone[d.key][0].candidate.data


class Counting(Thumbnails):
    sizes: list[int]

    def observe(self, images):
        type(self).sizes.append(len(images))
        return super().observe(images)


def test_evaluators_see_batches_across_pictures_and_never_more_than_they_want():
    Counting.sizes = []
    known = registry(reader(factory=Counting, batch=3))
    list(Runner(Workshop(known), 1).run(jobs(known, [reference(photo(seed=seed)) for seed in range(8)])))
    assert max(Counting.sizes) == 3


def test_the_classifier_gets_one_picture_at_a_time_so_that_no_thread_runs_out_of_work(monkeypatch):
    known, sizes, observe = registry(), [], Workshop.observe
    monkeypatch.setattr(Workshop, "observe", lambda self, tasks: sizes.append(len(tasks)) or observe(self, tasks))
    text = "{version: 1, preset: machine, rules: [{name: all, files: ['*'], compress: [jpeg]}]}"
    how = parse_policy(text, known, Path()).rules[0]
    pictures = [reference(photo(seed=seed)) for seed in range(6)]
    work = [Job(index, lambda it=it: it, lambda it: decide(it, how, known)) for index, it in enumerate(pictures)]
    assert len(list(Runner(Workshop(known), 2).run(work))) == 6
    assert set(sizes) == {1}


class Dear(Counting):
    """As a GPU is: a batch takes as long as a picture."""

    inside = 0

    def observe(self, images):
        cls = type(self)
        cls.inside += 1
        assert cls.inside == 1
        threading.Event().wait(0.02)
        cls.inside -= 1
        return super().observe(images)


def test_batches_for_an_evaluator_that_takes_one_at_a_time_fill_while_it_looks():
    Counting.sizes = Dear.sizes = []
    known = registry(reader(factory=Dear, batch=64))
    list(Runner(Workshop(known), 4).run(jobs(known, [reference(photo((40, 30), seed)) for seed in range(120)])))
    assert 48 <= max(Dear.sizes) <= 64
    assert sorted(Dear.sizes)[len(Dear.sizes) // 2] >= 12


class Overlapping(Thumbnails):
    inside = 0
    most = 0
    counting = threading.Lock()

    def observe(self, images):
        cls = type(self)
        with cls.counting:
            cls.inside += 1
            cls.most = max(cls.most, cls.inside)
        threading.Event().wait(0.002)
        with cls.counting:
            cls.inside -= 1
        return super().observe(images)


@pytest.mark.parametrize("concurrent", [False, True])
def test_an_evaluator_is_asked_by_several_threads_only_if_it_says_so(concurrent):
    Overlapping.inside = Overlapping.most = 0
    known = registry(reader(factory=Overlapping, concurrent=concurrent, batch=1))
    list(Runner(Workshop(known), 4).run(jobs(known, [reference(photo(seed=seed)) for seed in range(6)])))
    assert (Overlapping.most > 1) == concurrent


def test_one_picture_that_fails_costs_that_picture_only():
    known = registry()
    work = jobs(known, [reference(photo(seed=seed)) for seed in range(3)])

    def fail():
        raise ImageError("is damaged")

    work[1] = Job(1, fail, work[1].study)
    done = {d.key: d for d in Runner(Workshop(known), 2).run(work)}
    assert str(done[1].error) == "is damaged"
    assert done[0].answer
    assert done[2].answer


def test_running_out_of_memory_costs_that_picture_only():
    known = registry()
    work = jobs(known, [reference(photo(seed=seed)) for seed in range(3)])

    def fail():
        raise MemoryError

    work[0] = Job(0, fail, work[0].study)
    done = {d.key: d for d in Runner(Workshop(known), 2).run(work)}
    assert isinstance(done[0].error, MemoryError)
    assert done[1].answer
    assert done[2].answer


class Failing(Thumbnails):
    def compare(self, reference, candidates):
        raise KeyError("difference")


class Short(Thumbnails):
    def observe(self, images):
        return super().observe(images)[1:]


@pytest.mark.parametrize(("factory", "words"), [(Failing, "KeyError"), (Short, "gave 0 answers for 1 picture")])
def test_a_strangers_evaluator_that_fails_is_named(factory, words):
    known = registry(reader(factory=factory))
    (done,) = Runner(Workshop(known), 1).run(jobs(known, [reference(photo())]))
    assert isinstance(done.error, PluginError)
    assert "evaluator 'thumbnails' of third-party" in str(done.error)
    assert words in str(done.error)


class Picky(Thumbnails):
    """Fails at pictures of one width, and remembers how many it was shown at once."""

    sizes: list[int]

    def observe(self, images):
        type(self).sizes.append(len(images))
        if any(image.width == 111 for image in images):
            raise KeyError("width")
        return super().observe(images)


def test_one_picture_at_which_a_reader_fails_costs_that_picture_only_whoever_is_in_its_batch():
    Picky.sizes = []
    known = registry(reader(factory=Picky, batch=16))
    pictures = [reference(photo((111 if seed == 2 else 96, 64), seed=seed)) for seed in range(6)]
    alone = [
        drive(decide(it, rule(known, "jpeg"), known), Workshop(known).perform)
        for it in pictures
        if it.image.width == 96
    ]
    Picky.sizes = []
    done = {d.key: d for d in Runner(Workshop(known), 1).run(jobs(known, pictures))}
    assert max(Picky.sizes) > 1
    assert "KeyError: 'width'" in str(done.pop(2).error)
    assert [one.error for one in done.values()] == [None] * 5
    found = [done[key].answer[0].candidate.data for key in sorted(done)]
    assert found == [decision.candidate.data for (decision,) in alone]


def test_a_reader_that_fails_at_every_picture_ends_each_by_itself():
    known = registry(reader(factory=Short, batch=16))
    done = list(Runner(Workshop(known), 2).run(jobs(known, [reference(photo(seed=seed)) for seed in range(5)])))
    assert len(done) == 5
    assert all("answers for" in str(one.error) for one in done)


def test_few_pictures_are_in_work_at_once_and_large_ones_one_by_one(monkeypatch):
    known = registry()
    picture = reference(photo((40, 30)))
    inside, most = set(), 0

    def work(limit):
        nonlocal most
        inside.clear()
        most = 0
        monkeypatch.setattr(runner_module, "PIXELS_IN_FLIGHT", limit)
        monkeypatch.setattr(runner_module, "PIXELS_PER_THREAD", 0)
        made = jobs(known, [picture] * 60)

        def entering(job):
            def load():
                nonlocal most
                inside.add(job.key)
                most = max(most, len(inside))
                return picture

            return Job(job.key, load, job.study)

        for done in Runner(Workshop(known), 2).run(map(entering, made)):
            inside.discard(done.key)
        return most

    assert 2 <= work(10**9) <= 12
    assert work(1) <= 2


def test_no_picture_is_decoded_while_those_in_work_have_enough_pixels(monkeypatch):
    """All are glanced at before the first is decoded: its size alone would come too late."""
    monkeypatch.setattr(runner_module, "PIXELS_IN_FLIGHT", 5_000)
    monkeypatch.setattr(runner_module, "PIXELS_PER_THREAD", 0)
    known = registry()
    large, small = reference(photo((100, 60))), reference(photo((40, 25)))
    pictures = [small] * 12 + [large] * 8
    inside: Counter[int] = Counter()
    most: list[int] = []

    def watched(job, picture):
        pixels = picture.image.width * picture.image.height

        def load():
            inside[job.key] = pixels
            most.append(inside.total())
            time.sleep(0.02)
            return picture

        return Job(job.key, load, job.study, glance=lambda: pixels)

    made = [watched(job, picture) for job, picture in zip(jobs(known, pictures), pictures, strict=True)]
    for done in Runner(Workshop(known), 8).run(made):
        del inside[done.key]
    assert len(most) == len(pictures)
    assert 5_000 <= max(most) < 5_000 + 6_000


def test_with_many_threads_more_pixels_are_allowed():
    few, many = (runner_module._Run(None, None, threads, iter(())).pixels for threads in (2, 64))
    assert few == runner_module.PIXELS_IN_FLIGHT
    assert many == 64 * runner_module.PIXELS_PER_THREAD


def test_stopping_early_stops_the_work():
    known = registry()
    loaded = []

    def load():
        loaded.append(1)
        return reference(photo())

    work = (Job(index, load, lambda r: decide(r, rule(known, "jpeg"), known)) for index in range(1000))
    results = Runner(Workshop(known), 2).run(work)
    next(results)
    results.close()
    assert len(loaded) < 50
