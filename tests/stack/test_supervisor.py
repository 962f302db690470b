"""How the children of a stack are watched: whose end is the end of all, what is said of it, in which order it stops."""

import signal
import sys
from pathlib import Path

import pytest

from utxoiq_admin.stack.locations import DataFolder
from utxoiq_admin.stack.processes import Child, StackError
from utxoiq_admin.stack.programs import Programs
from utxoiq_admin.stack.supervisor import Supervisor

WAITS = "import time; print('one line of {name}', flush=True); time.sleep(60)"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(said: list[str]):
    made = Supervisor(said.append)
    yield made
    made.stop()


def child(folder: Path, name: str) -> Child:
    return Child(name, [sys.executable, "-c", WAITS.format(name=name)], folder / f"{name}.log")


def wait_for_line(waiting: Child) -> None:
    while not waiting.tail():
        assert waiting.running
        waiting.wait(0.02)


def test_every_program_of_a_stack_is_one_whose_end_ends_the_stack(tmp_path: Path) -> None:
    programs = Programs(DataFolder(tmp_path), port=8000, debug=False).all()
    assert [each.name for each in programs] == ["web", "worker", "beat", "listen"]
    assert [each.on_exit for each in programs] == [None] * 4


@pytest.mark.parametrize("name", ["web", "worker", "beat", "listen"])
def test_a_child_that_dies_is_told_with_its_last_lines_and_the_rest_stops_in_order(
    tmp_path: Path, supervisor: Supervisor, said: list[str], name: str
) -> None:
    stages = [["database"], ["web"], ["worker", "beat", "listen"]]
    children = {each: child(tmp_path, each) for stage in stages for each in stage}
    for stage in stages:
        supervisor.start(*(children[each] for each in stage))
    wait_for_line(children[name])
    children[name].signal(signal.SIGKILL)
    with pytest.raises(StackError) as ended:
        supervisor.watch()
    assert str(ended.value) == (
        f"{name} was ended by SIGKILL. Its log ({tmp_path / name}.log) ends with:\n"
        f"    one line of {name}\nThe rest was stopped."
    )
    supervisor.stop()
    left = [[each for each in reversed(stage) if each != name] for stage in reversed(stages)]
    assert said == [f"Stopping {', '.join(stage)}" for stage in left if stage]
    assert not any(each.running for each in children.values())


def test_a_child_that_ignores_the_signal_is_killed_after_its_time(
    tmp_path: Path, supervisor: Supervisor, said: list[str]
) -> None:
    deaf = child(tmp_path, "deaf")
    deaf.argv = [sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); " + deaf.argv[2]]
    deaf.stop_seconds = 0.2
    supervisor.start(deaf)
    wait_for_line(deaf)
    supervisor.stop()
    assert said == ["Stopping deaf", "deaf did not stop within 0 s and was killed."]
    assert not deaf.running


def test_somebody_who_waits_for_the_end_is_told_once_and_the_rest_runs_on(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    told: list[str] = []
    done, other = child(tmp_path, "done"), child(tmp_path, "other")
    done.argv, done.on_exit = [sys.executable, "-c", ""], lambda each: told.append(each.name)
    supervisor.start(done, other)
    assert done.wait(10)
    for _ in range(3):
        supervisor.check()
    assert told == ["done"]
    assert other.running
