"""Measures reads: ModelBox beside the floor and PostGraphile, over one seeded database, in one run.

`make bench-read` runs it; `ARGS="--help"` lists what can be changed.
"""

from __future__ import annotations

import argparse
import http.client
import os
from collections.abc import Sequence
from typing import Any

import orjson

from benchmarks import report
from benchmarks.contenders import Contender, contenders
from benchmarks.measure import Pace, take_turns
from benchmarks.questions import Document, Question, plain, questions, ranked, thirds
from benchmarks.report import Deep, Figures
from benchmarks.store import Store, seeded

DEEP_PAGE = 200


def main() -> None:
    """Seed, compare, measure, print."""
    options = _options()
    with (
        seeded(options.scale, options.seed) as store,
        contenders(store, postgraphile=not options.without_postgraphile) as servers,
    ):
        figures = _measure(store, servers, options)
    text = report.table(figures, options.scale)
    print(text)
    if options.record:
        report.record(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-read", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of the store; 0.01 for a quick look")
    parser.add_argument("--seed", type=int, default=1, help="of the store's rows")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="of: nested, one, page, ranked")
    parser.add_argument("--without-postgraphile", action="store_true")
    parser.add_argument("--record", action="store_true", help="write the table into benchmarks/README.md")
    return parser.parse_args()


def _measure(store: Store, servers: Sequence[Contender], options: argparse.Namespace) -> Figures:
    modelbox = servers[1]
    figures = Figures(modelbox.memory(), os.getloadavg()[0])
    pace = Pace(options.clients, options.seconds, options.rounds)
    for question in questions(store.seed):
        if options.only and question.name not in options.only:
            continue
        figures.sizes[question.name] = _compare(question, servers)
        print(f"Measuring {question.name}")
        requests = {server.name: server.request(question) for server in servers}
        figures.turns[question.name] = take_turns(servers, requests, pace, store.pid)
    if not options.only or "ranked" in options.only:
        for name, third in thirds().items():
            print(f"Measuring {name}")
            figures.deep[name] = _deep(modelbox, third, pace, store.pid)
    figures.memory_after = modelbox.memory()
    return figures


def _compare(question: Question, servers: Sequence[Contender]) -> int:
    """The size of ModelBox's answer, after every server has given the same."""
    answers = {server.name: _ask(server, server.request(question)) for server in servers}
    wanted = plain(orjson.loads(answers["floor"])["data"])
    for name, answer in answers.items():
        if plain(orjson.loads(answer).get("data")) != wanted:
            raise SystemExit(f"{name} answers {question.name} differently: {answer[:1000]!r}")
    return len(answers["ModelBox"])


def _ask(server: Contender, request: bytes) -> bytes:
    """One answer to a prepared request, read by the standard library."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    try:
        connection.request(method, path, body or None, dict(line.split(": ", 1) for line in lines))
        return connection.getresponse().read()
    finally:
        connection.close()


def _deep(server: Contender, third: dict[str, Any], pace: Pace, postgres: int) -> Deep:
    """Page 1 and page 200 of a ranked list, in turns, by one client at a time."""
    pages = _walk(server, third)
    alone = Pace(1, pace.seconds, pace.rounds)
    first, last = [Contender(name, server.port, server.process) for name in ("first", "last")]
    requests = {"first": server.post(pages[0]), "last": server.post(pages[-1])}
    turns = take_turns([first, last], requests, alone, postgres)
    return Deep(len(pages), turns["first"], turns["last"])


def _walk(server: Contender, third: dict[str, Any]) -> list[Document]:
    """The pages of a ranked list up to number 200, found by following cursors; their order is checked."""
    pages = [ranked(third, None)]
    best = float("inf")
    seen: set[str] = set()
    while True:
        answer = orjson.loads(_ask(server, server.post(pages[-1])))
        page = answer["data"]["experiments"]
        for node in page["nodes"]:
            if node["metric"]["max"] > best or node["id"] in seen:
                raise SystemExit(f"Page {len(pages)} is out of order at {node}.")
            best = node["metric"]["max"]
            seen.add(node["id"])
        if len(pages) == DEEP_PAGE or not page["pageInfo"]["hasNextPage"]:
            return pages
        pages.append(ranked(third, page["pageInfo"]["endCursor"]))


if __name__ == "__main__":
    main()
