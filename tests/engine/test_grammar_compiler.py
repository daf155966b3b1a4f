"""Compiling elsewhere, keeping what was compiled, and bounds on both."""

from __future__ import annotations

import threading

import pytest

from engine.errors import InvalidGrammar, QueueFull
from engine.grammar.compile_threads import CompileThreads
from tests.support.fake_grammars import BAD, FakeCompiling, grammar


def test_a_new_grammar_is_pending_until_polled() -> None:
    """It is compiled by a job, announced, and known once polled."""
    fake = FakeCompiling()
    assert not fake.compiler.submit(grammar("a"))
    assert (fake.compiled, fake.compiler.poll()) == ([], {})
    fake.run()
    assert fake.num_wakes == 1
    assert fake.compiler.has_news
    assert fake.compiler.poll() == {grammar("a"): None}
    assert not fake.compiler.has_news
    assert fake.compiler.submit(grammar("a"))


def test_the_same_grammar_is_compiled_once() -> None:
    """However many ask for it, before and after."""
    fake = FakeCompiling()
    for _ in range(3):
        fake.compiler.submit(grammar("a"))
    fake.run()
    fake.compiler.poll()
    fake.compiler.submit(grammar("a"))
    fake.compiler.compiled(grammar("a"))
    assert fake.compiled == ["a"]


def test_a_refused_grammar_is_remembered() -> None:
    """The first asker hears of it by polling, the next at once, and nothing is compiled twice."""
    fake = FakeCompiling()
    fake.compiler.submit(grammar(BAD))
    fake.run()
    assert isinstance(fake.compiler.poll()[grammar(BAD)], InvalidGrammar)
    for ask in (fake.compiler.submit, fake.compiler.compiled):
        with pytest.raises(InvalidGrammar, match="is bad"):
            ask(grammar(BAD))
    assert fake.compiled == [BAD]


def test_the_queue_is_bounded() -> None:
    """One grammar too many is refused by name; those waiting may be asked for again."""
    fake = FakeCompiling(max_pending=2)
    fake.compiler.submit(grammar("a"))
    fake.compiler.submit(grammar("b"))
    with pytest.raises(QueueFull, match="limit is 2"):
        fake.compiler.submit(grammar("c"))
    assert not fake.compiler.submit(grammar("a"))
    fake.run(1)
    fake.compiler.poll()
    assert not fake.compiler.submit(grammar("c"))


def test_what_was_unused_for_longest_goes_and_comes_back_when_needed() -> None:
    """A grammar in use that has fallen out is compiled again on the spot."""
    fake = FakeCompiling(max_kept=2)
    for source in ("a", "b"):
        fake.compiler.compiled(grammar(source))
    fake.compiler.compiled(grammar("a"))
    fake.compiler.compiled(grammar("c"))  # b goes
    assert fake.compiler.submit(grammar("a"))
    fake.compiler.compiled(grammar("b"))
    assert fake.compiled == ["a", "b", "c", "b"]


def test_whatever_a_compiler_raises_refuses_the_grammar_alone() -> None:
    """Native code that panics raises no Exception; the thread and the others go on."""
    fake = FakeCompiling()
    fake.compiler.submit(grammar("panic"))
    fake.compiler.submit(grammar("a"))
    fake.run()
    news = fake.compiler.poll()
    assert isinstance(news[grammar("panic")], InvalidGrammar)
    assert news[grammar("a")] is None


def test_threads_run_every_job_apart_from_the_caller() -> None:
    """Jobs run in threads of their own, no more of them than asked for."""
    threads = CompileThreads(2)
    names: list[str] = []
    done = threading.Semaphore(0)

    def job() -> None:
        names.append(threading.current_thread().name)
        done.release()

    for _ in range(10):
        threads(job)
    for _ in range(10):
        assert done.acquire(timeout=10)
    assert set(names) <= {"kaiwa-grammar-0", "kaiwa-grammar-1"}
