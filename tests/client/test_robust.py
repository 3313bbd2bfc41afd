"""What trainers, disks and proxies do, too: nothing of it is raised, stops the sender, or takes anything else along."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from modelbox.connection import Connection
from modelbox.errors import ModelBoxError, Refused
from modelbox.queue.lease import Lease
from modelbox.queue.progress import Place
from modelbox.queue.spool import Spool
from modelbox.sender.drain import Drain
from modelbox.sender.session import Session
from modelbox.sender.sync import sync
from modelbox.transfer import Local, copied, download, upload
from modelbox.warnings import of_disk
from tests.acceptance.server import Server, wait_until
from tests.client.training import begun, columns_of, ended, queue_of, run_of, trained

QUEUES = Path(".modelbox/queue")
ABOUT = {"run": "r", "writer": "w", "server": "http://127.0.0.1:9", "namespace": "default", "is_primary": True}


def test_nonsense_costs_only_itself(server: Server) -> None:
    script = """
    class Bad(Exception):
        def __str__(self): raise self
    class Odd:
        def __float__(self): raise Bad
    class Changing(dict):
        def items(self): raise Bad
    import math, pathlib
    round = {}
    round["round"] = round
    run = mb.init(name="nonsense", hyperparameters={"nan": math.nan, ("a", 1): 2, "deep": round})
    for step in (1 << 70, 1 << 62, 3):
        run.log({"x": 1.0, "odd": Odd(), "round": round, "buffer": bytearray(1 << 21)}, step=step)
        run.flush()
    run.log(Changing(a=1.0))
    run.event("fine", at="now")
    run.log_artifact(None)
    run.event("e", value=math.inf)
    run.event("")
    run.event("f", **{"round": round})
    run.metadata(best=math.nan)
    pathlib.Path("c").write_text("c")
    run.checkpoint("c", step=3, metrics={"good": math.inf, "none": None, "text": "t"})
    run.log({f"k{i}": float(i) for i in range(1_500)}, step=4)
    print(run.id, run.finish())
    run.log({"late": 1.0})
    run.event("late")
    """
    out, err = trained(script, server.address)
    run_id, is_sent = out.split()
    assert (is_sent, "[RUN_FINISHED:" in err) == ("True", True)
    found = run_of(server, run_id)
    assert found["status"] == "COMPLETED"
    assert found["hyperparameters"]["nan"] == found["metadata"]["best"] == "NaN"
    assert sorted(event["name"] for event in found["events"]["nodes"]) == ["e", "f"]
    [checkpoint] = found["checkpoints"]["nodes"]
    assert [each["key"] for each in checkpoint["metrics"]["nodes"]] == ["good"]
    assert columns_of(server, run_id, "x")["x"]["steps"] == [None, None, 3]
    assert columns_of(server, run_id, "k1499")["k1499"]["values"] == [1499.0]


def test_an_end_that_nobody_waits_for_is_the_end_that_was_said(server: Server) -> None:
    script = """
    import os
    run = mb.init(name="hasty", quiet=True)
    run.wait(60)
    run.log({"x": 1.0})
    run.finish("PREEMPTED", timeout=0)
    print(run.id, flush=True)
    os._exit(0)
    """
    ids = [trained(script, server.address)[0].strip() for _ in range(3)]
    for run_id in ids:
        wait_until(partial(_is, server, run_id, "PREEMPTED"))


def _is(server: Server, run_id: str, status: str) -> bool:
    return bool(run_of(server, run_id)["status"] == status)


def test_a_silent_training_that_lives_keeps_its_queue(server: Server, clean: Path) -> None:
    script = """
    import os
    run = mb.init(name="silent", mode="offline")
    run.log({"x": 1.0})
    run.flush()
    print(run.id, flush=True)
    import time
    while not os.path.exists("go"):
        time.sleep(0.05)
    run.log({"x": 2.0})
    """
    process = begun(script, server.address, MODELBOX_CAPTURE_SYSTEM="0")
    run_id = process.stdout.readline().strip() if process.stdout else ""
    for path in QUEUES.glob("*/*/*.frames"):
        os.utime(path, (1, 1))
    assert [each.state for each in sync(QUEUES)] == ["partly"]
    assert queue_of(clean) != []
    Path("go").touch()
    ended(process)
    assert [each.state for each in sync(QUEUES)] == ["sent"]
    assert columns_of(server, run_id, "x")["x"]["values"] == [1.0, 2.0]


def test_one_damaged_queue_keeps_no_other_out(server: Server) -> None:
    trained("mb.init(name='whole', mode='offline', quiet=True).log({'x': 1.0})", server.address)
    (QUEUES / "a" / "b").mkdir(parents=True)
    (QUEUES / "a" / "b" / "about.json").write_text("")
    assert sorted(each.state for each in sync(QUEUES)) == ["damaged", "sent"]


def test_what_is_refused_keeps_its_files(server: Server, clean: Path) -> None:
    script = """
    import pathlib
    pathlib.Path("c").write_text("weights")
    with mb.init(name="refused", quiet=True) as run:
        run.log_artifact("c", name="n" * 5000)
        run.log_artifact("c")
    """
    trained(script, server.address)
    [queue] = queue_of(clean)
    assert [path.read_text() for path in (queue / "files").iterdir()] == ["weights"]


def test_a_frame_of_a_newer_client_is_put_aside(server: Server, clean: Path) -> None:
    trained("mb.init(name='newer', mode='offline', quiet=True).event('e')", server.address)
    [queue] = queue_of(clean)
    spool = Spool(queue.with_name("other"), json.loads((queue / "about.json").read_text()) | {"writer": "other"})
    spool.append({"kind": "start", "input": {"namespace": "default", "externalId": queue.parent.name}})
    spool.append({"kind": "smell", "at": 1})
    spool.append({"kind": "finish", "status": "COMPLETED"})
    spool.close()
    assert [each.state for each in sync(QUEUES)] == ["sent", "sent"]
    assert "smell" in (queue.with_name("other") / "refused.jsonl").read_text()


def test_files_go_only_when_it_is_kept_how_far_we_are(tmp_path: Path) -> None:
    Spool(tmp_path / "q", ABOUT).close()
    (tmp_path / "q" / "00000002.frames").write_bytes(b"")
    session = Session(tmp_path / "q", Connection("http://127.0.0.1:9"))
    session.keep(lambda kept: setattr(kept, "points", Place(2)), durable=False)
    session.keep(lambda kept: setattr(kept, "files", Place(2)), durable=False)
    Drain(session)._tidy()
    assert not (tmp_path / "q" / "00000001.frames").exists()
    assert Session(tmp_path / "q", session.server).progress.files == Place(2)


def test_what_the_disk_did_not_keep_did_not_happen(tmp_path: Path) -> None:
    Spool(tmp_path / "q", ABOUT).close()
    session = Session(tmp_path / "q", Connection("http://127.0.0.1:9"))
    (tmp_path / "q" / "progress.json.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        session.keep(lambda kept: setattr(kept, "sequence", 7))
    assert session.progress.sequence == 0


def test_the_lease_is_held_by_whoever_has_it(tmp_path: Path) -> None:
    Spool(tmp_path / "q", ABOUT).close()
    lease = Lease(tmp_path / "q")
    lease.take()
    assert [each.state for each in sync(tmp_path / "q")] == ["taken"]


def test_a_file_that_shrinks_is_told(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"12345")

    class Shrinking(Connection):
        def change(self, query: str, input: object) -> dict[str, object]:
            del query, input
            file.write_bytes(b"1")
            part = {"path": "f", "offset": 0, "size": 5, "url": "/x", "headers": []}
            return {"upload": {"id": "u"}, "parts": [part]}

    with pytest.raises(ModelBoxError, match="shorter"):
        upload(Shrinking("http://127.0.0.1:9"), "o", "n", [Local("f", file)])


def test_copies_that_fail_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    for name in "ab":
        (tmp_path / "from" / name).write_text(name)
    places = iter([tmp_path / "1", tmp_path / "no" / "2"])
    with pytest.raises(OSError, match="No such file"):
        copied(tmp_path / "from", lambda: next(places))
    assert not (tmp_path / "1").exists()


def test_whose_file_it_was_is_said() -> None:
    queue = Path("/queue/r/w")
    assert of_disk(PermissionError(13, "Permission denied", "/weights"), queue)[0] == "NO_SUCH_FILE"
    assert of_disk(PermissionError(13, "Permission denied", "/queue/r/w/files/1"), queue)[0] == "QUEUE_FULL"
    assert of_disk(OSError(28, "No space left on device", "/weights"), queue)[0] == "QUEUE_FULL"


class Proxy(BaseHTTPRequestHandler):
    """Answers 413 to calls, sends files on to another host, and one without an end."""

    seen: list[tuple[str, str | None]]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(413)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["Authorization"]))
        if self.path == "/away":
            self.send_response(307)
            self.send_header("Location", "/endless")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"x" * 65536)
        except OSError:
            return

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@contextmanager
def proxy() -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    seen: list[tuple[str, str | None]] = []
    server = HTTPServer(("127.0.0.1", 0), type("P", (Proxy,), {"seen": seen}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_proxy_with_a_limit_and_a_file_without_an_end(tmp_path: Path) -> None:
    with proxy() as (address, seen):
        connection = Connection(address, "secret-token")
        with pytest.raises(Refused) as refused:
            connection.ask("{ a }")
        assert refused.value.code == "PAYLOAD_TOO_LARGE"
        file = {"downloadUrl": "/away", "size": 10, "digest": f"sha256:{'0' * 64}"}
        with pytest.raises(ModelBoxError) as wrong:
            download(connection, file, tmp_path / "f")
        assert wrong.value.code == "DIGEST_MISMATCH"
        assert seen == [("/away", "Bearer secret-token"), ("/endless", None)]
        connection.close()
    assert not list(tmp_path.glob("f*"))


def test_a_name_of_a_server_without_one_gets_no_token() -> None:
    ours = Connection("https://server.example", "t")
    assert ours._place("/files/1") == ("https://server.example/files/1", True)
    for reference in ("//other/f", "http://other/f", "http:other/f", "file:///etc/passwd", "https://server.example/f"):
        assert not ours._place(reference)[1]
