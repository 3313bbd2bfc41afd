"""Train one network on four ranks, each of which saves its own shard; killed at any moment, it goes on by itself.

Needs torch. With a server running (`make serve`):

    python -m examples.sharded first          # kill it with `kill -9` on its process group, and run it again
    python -m examples.sharded unbroken       # ends with the same digest

`make test-integrations` does this in an environment of its own, `.venv/integrations`.

Every rank owns a quarter of the parameters and their optimizer. A checkpoint is READY only when all four shards are.
"""

from __future__ import annotations

import hashlib
import io
import socket
import sys
import time
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from demo import files, mutations
from demo.connection import Connection

RANKS, STEPS, SAVE_EVERY, LOG_EVERY = 4, 200, 40, 20
INPUTS, HIDDEN, BATCH = 16, 30, 64
SIZE = INPUTS * HIDDEN + HIDDEN + HIDDEN + 1  # of all parameters
QUARTER = -(-SIZE // RANKS)
PAUSE = 0.02
"""Seconds a step, so that there is time to kill it."""

STATE = """query ($id: ID!) { node(id: $id) { ... on Experiment { resumeState {
  step checkpoint { id } files { path digest downloadUrl artifact { shard } } } } } }"""


def main() -> None:
    """Start the ranks; the name of the experiment is the only argument."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    mp.spawn(train, args=(sys.argv[1], port), nprocs=RANKS)


def train(rank: int, name: str, port: int) -> None:
    """One rank, from the latest checkpoint to the end."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=RANKS)
    server = Connection.from_environment()
    run, found = together(begin(server, name) if rank == 0 else None)
    mine = torch.randn(QUARTER, generator=torch.Generator().manual_seed(rank)) * 0.3
    optimizer = torch.optim.Adam([mine], lr=0.01)
    first = found["step"] if found else 0
    if found:
        load(server, found, rank, mine, optimizer)
    losses: list[tuple[int, float]] = []
    for step in range(first + 1, STEPS + 1):
        losses.append((step, learn(mine, optimizer, step, rank)))
        time.sleep(PAUSE)
        if rank == 0 and step % LOG_EVERY == 0:
            log(server, run, first, losses)
            losses = []
        if step % SAVE_EVERY == 0:
            save(server, run, step, rank, mine, optimizer)
    end(server, run, rank, mine)


def begin(server: Connection, name: str) -> tuple[str, dict[str, Any] | None]:
    """The experiment, and what it goes on from; None for a new one, or one that had no time to save anything."""
    made = server.change(mutations.CREATE_EXPERIMENT, {"namespace": "examples/sharded", "name": name})
    run = made["experiment"]["id"]
    if made["created"]:
        return run, None
    found: dict[str, Any] | None = server.look(STATE, id=run)["node"]["resumeState"]
    place = {"checkpointId": found["checkpoint"]["id"]} if found else {"step": 0}
    server.change(mutations.RESUME_EXPERIMENT, {"id": run, **place})
    print(f"goes on from step {found['step'] if found else 0}", flush=True)
    return run, found


def together(value: Any) -> Any:
    """What rank 0 has, for all."""
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def whole(mine: torch.Tensor) -> torch.Tensor:
    """All parameters, put together of all ranks' quarters."""
    quarters = [torch.empty_like(mine) for _ in range(RANKS)]
    dist.all_gather(quarters, mine)
    return torch.cat(quarters)[:SIZE]


def learn(mine: torch.Tensor, optimizer: torch.optim.Optimizer, step: int, rank: int) -> float:
    """One step: each rank with its part of the batch, which the number of the step decides."""
    flat = whole(mine.detach()).requires_grad_()
    inner, shift, outer, last = flat.split([INPUTS * HIDDEN, HIDDEN, HIDDEN, 1])
    chance = torch.Generator().manual_seed(step * RANKS + rank)
    inputs = torch.randn(BATCH, INPUTS, generator=chance)
    wanted = inputs[:, :4].prod(dim=1).sin()
    loss = ((inputs @ inner.view(INPUTS, HIDDEN) + shift).tanh() @ outer + last - wanted).square().mean()
    [gradient] = torch.autograd.grad(loss, flat)
    told = torch.cat([gradient, loss.detach().view(1)])
    dist.all_reduce(told)
    gradient = torch.nn.functional.pad(told[:-1] / RANKS, (0, QUARTER * RANKS - SIZE))
    mine.grad = gradient[rank * QUARTER : (rank + 1) * QUARTER].clone()
    optimizer.step()
    return float(told[-1]) / RANKS


def log(server: Connection, run: str, first: int, losses: list[tuple[int, float]]) -> None:
    """Send what was measured; a writer for each process, which counts its calls from 0."""
    steps, values = zip(*losses, strict=True)
    sequence = (steps[-1] - first - 1) // LOG_EVERY
    columns = {"steps": list(steps), "values": {"loss": list(values)}}
    call = {"objectId": run, "writer": f"rank 0 from {first} at {BEGAN}", "sequence": sequence, "columns": columns}
    server.change(mutations.LOG_METRICS, call)


BEGAN = time.time_ns()


def save(  # noqa: PLR0917 - all that a shard consists of
    server: Connection, run: str, step: int, rank: int, mine: torch.Tensor, optimizer: torch.optim.Optimizer
) -> None:
    """Every rank its own shard; rank 0 makes the checkpoint, and commits it when all are there."""
    wanted = {"experimentId": run, "step": step, "expectedShards": RANKS}
    made = server.change(mutations.CREATE_CHECKPOINT, wanted)["checkpoint"]["id"] if rank == 0 else None
    checkpoint = together(made)
    content = io.BytesIO()
    torch.save({"parameters": mine, "optimizer": optimizer.state_dict()}, content)
    shard = {f"rank-{rank}.pt": content.getvalue()}
    files.upload(server, checkpoint, f"shard {rank}", shard, kind="CHECKPOINT", shard=rank)
    dist.barrier()
    if rank == 0:
        server.change(mutations.COMMIT_CHECKPOINT, {"id": checkpoint})
        print(f"saved step {step}", flush=True)


def load(
    server: Connection, found: dict[str, Any], rank: int, mine: torch.Tensor, optimizer: torch.optim.Optimizer
) -> None:
    """This rank's shard, whose bytes are what their digest says. Nothing but tensors is unpickled."""
    [file] = [file for file in found["files"] if file["artifact"]["shard"] == rank]
    state = torch.load(io.BytesIO(files.download(server, file)), weights_only=True)
    mine.copy_(state["parameters"])
    optimizer.load_state_dict(state["optimizer"])


def end(server: Connection, run: str, rank: int, mine: torch.Tensor) -> None:
    """Finish, and say which network it is."""
    flat = whole(mine)
    if rank == 0:
        server.change(mutations.FINISH_EXPERIMENT, {"id": run, "status": "COMPLETED"})
        print(f"final model sha256:{hashlib.sha256(flat.numpy().tobytes()).hexdigest()}", flush=True)
    dist.barrier()


if __name__ == "__main__":
    main()
