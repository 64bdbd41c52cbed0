"""Real children: who dies comes back, who has finished does not, and what they say is heard whole."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.crew import FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S, Crew, Stopped, Watch

STAY = "import signal; signal.pause()"
NOTE_PID = "import os, pathlib, sys; print('up', flush=True); pathlib.Path(sys.argv[1]).write_text(str(os.getpid()));"


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    crew = Crew(tmp_path)
    yield crew
    crew.stop_all()


def keep(crew: Crew, code: str, *arguments: object, may_end: bool = False) -> None:
    crew.keep("gauge", sys.executable, "-c", code, *map(str, arguments), may_end=may_end)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_child_is_started_again_and_ends_with_the_crew(crew: Crew, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    keep(crew, NOTE_PID + STAY, note)
    crew.until(lambda: note.exists() and note.read_text() != "", within_s=20, what="gauge")
    first = int(note.read_text())
    os.kill(first, signal.SIGKILL)
    crew.until(lambda: note.read_text() not in {"", str(first)}, within_s=20, what="gauge again")
    second = int(note.read_text())
    assert alive(second)
    crew.stop("gauge")
    assert not alive(second)


def test_a_child_that_may_end_is_not_started_again(
    crew: Crew, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    starts = tmp_path / "starts"
    keep(crew, "import sys; open(sys.argv[1], 'a').write('.')", starts, may_end=True)
    screen: list[str] = []

    def finished() -> bool:
        screen.append(capfd.readouterr().out)
        return "gauge has finished" in "".join(screen)

    crew.until(finished, within_s=20, what="the end")
    assert starts.read_text() == "."


def test_a_failing_step_says_so(crew: Crew) -> None:
    with pytest.raises(RuntimeError, match="gauge failed with exit code 3"):
        crew.run("gauge", sys.executable, "-c", "raise SystemExit(3)")


def test_a_line_written_in_pieces_and_a_last_one_without_its_end_are_heard_whole(
    crew: Crew, capfd: pytest.CaptureFixture[str]
) -> None:
    crew.run(
        "gauge", sys.executable, "-u", "-c", "print('水位', end=''); print(' 3.2 m'); print('bye', end='')"
    )
    assert capfd.readouterr().out.splitlines() == ["gauge   | 水位 3.2 m", "gauge   | bye"]


def test_a_signal_ends_the_wait_and_a_child_deaf_to_it_is_killed_at_the_second(
    crew: Crew, tmp_path: Path
) -> None:
    note = tmp_path / "pid"
    keep(
        crew,
        "import signal; signal.signal(15, signal.SIG_IGN);" + NOTE_PID + "\nwhile True: signal.pause()",
        note,
    )
    crew.until(lambda: note.exists() and note.read_text() != "", within_s=20, what="gauge")
    crew.ask_to_stop(signal.SIGTERM)
    with pytest.raises(Stopped):
        crew.until(lambda: False)
    crew.ask_to_stop(signal.SIGTERM)
    crew.stop_all()
    assert not alive(int(note.read_text()))


def test_the_pauses_double_up_to_a_limit_and_start_over_after_a_steady_life() -> None:
    watch = Watch("gauge", start=lambda: None, running=lambda: False, started_s=0.0)
    pauses, now_s = [], 1.0
    for _ in range(7):
        watch.revive(now_s)
        pauses.append(watch.pause_s)
        now_s += watch.pause_s
        watch.revive(now_s)
    assert pauses == [1, 2, 4, 8, 16, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    watch.revive(now_s + STEADY_S + 1)
    assert watch.pause_s == FIRST_PAUSE_S
