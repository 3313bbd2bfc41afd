"""Sends a folder to its end: once, or for as long as its training lives."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from modelbox.errors import ModelBoxError, Refused, Unreachable
from modelbox.queue.lease import TOUCHED_SECONDS, Taken
from modelbox.queue.progress import Place
from modelbox.sender import documents
from modelbox.sender.files_lane import FilesLane
from modelbox.sender.queue_reader import QueueReader
from modelbox.sender.quick_lane import QuickLane
from modelbox.sender.session import BLOCKING, Session

IDLE_SECONDS: Final = 0.05
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
BLOCKED_PAUSE: Final = 30.0
HEARTBEAT_SECONDS: Final = 60.0


class Drain:
    """Works through one folder with two lanes, each in a thread, each at its own pace."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._quick = QuickLane(session)
        self._files = FilesLane(session)
        self._stop = threading.Event()
        self._reader = QueueReader(session.folder)

    def once(self, *, is_dead: bool = False, patience: float = 0.0) -> bool:
        """Send all that is there; whether the run is told of whole, its end too.

        One that is dead, and did not say how it ended, is left RUNNING: the server sees that it is silent.

        Raises:
            Unreachable: no server answered for `patience` seconds.
            Refused: the token or a role does not allow it.
            Taken: somebody else sends.
        """
        self._session.lease.take()
        try:
            limit = time.monotonic() + patience
            with self._touched():
                while self._turn(limit):
                    pass
                return self._finished() or (is_dead and self._quick.ending is None)
        finally:
            self._session.lease.release()

    @contextlib.contextmanager
    def _touched(self) -> Iterator[None]:
        """Hold the lease through a step that takes long, such as a large file; `_turn` learns when it is lost."""

        def touch() -> None:
            while not self._stop.wait(TOUCHED_SECONDS):
                with contextlib.suppress(Taken, OSError):
                    self._session.lease.touch()

        threading.Thread(target=touch, daemon=True).start()
        try:
            yield
        finally:
            self._stop.set()

    def _turn(self, limit: float) -> bool:
        """A step of both lanes; whether there was anything to do."""
        self._session.lease.touch()
        try:
            did = self._quick.step()
            if self._session.progress.experiment is not None:
                did = self._files.step() or did
        except Unreachable as error:
            if time.monotonic() > limit:
                raise
            time.sleep(error.wait_seconds or FIRST_PAUSE)
            return True
        return did

    def follow(self, is_alive: Callable[[], bool], linger: float) -> bool:
        """Send what comes while the training lives, and what is left for so many seconds more; whether all is sent.

        Raises:
            Taken: somebody else sends.
        """
        self._session.lease.take()
        lanes = [
            threading.Thread(target=self._lane, args=(step,), daemon=True)
            for step in (self._quick.step, self._send_file)
        ]
        try:
            for lane in lanes:
                lane.start()
            self._while_alive(is_alive)
            return self._linger(linger)
        finally:
            self._stop.set()
            for lane in lanes:
                lane.join(2)
            self._session.lease.release()

    def _send_file(self) -> bool:
        return self._session.progress.experiment is not None and self._files.step()

    def _while_alive(self, is_alive: Callable[[], bool]) -> None:
        while is_alive():
            if self._is_at_end() and self._finished():
                return
            self._session.lease.touch()
            self._session.say(until=self._until())
            self._heartbeat()
            self._tidy()
            time.sleep(IDLE_SECONDS)

    def _linger(self, seconds: float) -> bool:
        limit = time.monotonic() + seconds
        while not self._is_at_end() and time.monotonic() < limit:
            time.sleep(IDLE_SECONDS)
        return self._is_at_end() and self._finished(is_dead=True)

    def _lane(self, step: Callable[[], bool]) -> None:
        """Step by step, with longer and longer pauses while no server answers."""
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            try:
                if step():
                    pause = FIRST_PAUSE
                    continue
                self._stop.wait(IDLE_SECONDS)
            except Unreachable as error:
                self._session.warn(error.code, f"{error.message} All is kept, and sent when it can be.")
                self._session.say(state="waiting")
                self._stop.wait(error.wait_seconds or pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
                pause = min(2 * pause, LONGEST_PAUSE)
            except Refused as error:
                self._session.warn(error.code, f"{error.message} All is kept, and sent when it may be.")
                self._session.say(state="refused")
                self._stop.wait(BLOCKED_PAUSE)
            except Exception as error:  # noqa: BLE001 - told, and tried again: a lane that ends would send nothing more
                self._session.warn("CLIENT_FAULT", f"The sender failed: {type(error).__name__}: {error}")
                self._stop.wait(BLOCKED_PAUSE)

    def _heartbeat(self) -> None:
        session = self._session
        if session.progress.experiment is None or time.monotonic() - session.last_sent < HEARTBEAT_SECONDS:
            return
        session.last_sent = time.monotonic()
        try:
            session.server.change(documents.HEARTBEAT, {"id": session.progress.experiment})
        except ModelBoxError:
            return  # The lanes say what is wrong.

    def _is_at_end(self) -> bool:
        """Whether both lanes are behind everything that was said, but that it is over."""
        progress = self._session.progress
        if progress.plan is not None:
            return False
        heads = [next(iter(self._reader.read(place)), None) for place in (progress.points, progress.files)]
        for head in heads:
            if head is not None and head.frame.kind == "finish":  # The lane itself may not have come to it yet.
                self._quick.ending = str(head.frame.head["status"])
        return all(head is None or head.frame.kind == "finish" for head in heads)

    def _until(self) -> list[int]:
        """Before which all is sent: where the lane is that is behind."""
        progress = self._session.progress
        return min([place.file, place.offset] for place in (progress.points, progress.files))

    def _tidy(self) -> None:
        """Remove files behind which both lanes are."""
        progress = self._session.progress
        place = Place(min(progress.points.file, progress.files.file))
        if self._reader.has_before(place):
            with contextlib.suppress(OSError):  # A full disk: later.
                self._session.keep(lambda kept: None)  # Else another sender would begin in a file that is gone.
                self._reader.remove_before(place)

    def _finished(self, *, is_dead: bool = False) -> bool:
        """Tell how the run ended, if it did; or, when its process is dead and said nothing, that it was killed.

        Whether there is nothing more to do with this folder.
        """
        progress, status = self._session.progress, self._quick.ending
        if not progress.is_finished:
            if status is None and not is_dead:
                return False
            if not self._tell_end(status or "KILLED"):
                return False
            self._session.keep(lambda kept: setattr(kept, "is_finished", status is not None))
        self._session.say(now=True, state="done")
        return True

    def _tell_end(self, status: str) -> bool:
        experiment = self._session.progress.experiment
        if not self._session.about["is_primary"] or experiment is None:
            return True
        try:
            self._session.server.change(documents.FINISH, {"id": experiment, "status": status})
        except Unreachable:
            return False
        except Refused as error:
            self._session.warn(error.code, error.message)
            return error.code not in BLOCKING
        return True
