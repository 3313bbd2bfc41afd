"""Train one network on four ranks, each of which saves its own shard; killed at any moment, it goes on by itself.

Needs torch. With a server running (`make serve`):

    python -m examples.sharded first          # kill it with `kill -9` on its process group, and run it again
    python -m examples.sharded unbroken       # ends with the same digest

`make test-integrations` does this in an environment of its own, `.venv/integrations`.

Every rank owns a quarter of the parameters and their optimizer. A checkpoint is READY only when all four shards are.
"""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

import modelbox as mb

RANKS, STEPS, SAVE_EVERY = 4, 200, 40
INPUTS, HIDDEN, BATCH = 16, 30, 64
SIZE = INPUTS * HIDDEN + HIDDEN + HIDDEN + 1  # of all parameters
QUARTER = -(-SIZE // RANKS)
PAUSE = 0.02
"""Seconds a step, so that there is time to kill it."""

PATIENCE = 120.0
"""Seconds that a checkpoint may take to arrive."""


def main() -> None:
    """Start the ranks; the name of the experiment is the only argument."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    mp.spawn(train, args=(sys.argv[1], port), nprocs=RANKS)


def train(rank: int, name: str, port: int) -> None:
    """One rank, from the latest checkpoint to the end."""
    torch.set_num_threads(1)
    # As `torchrun` tells a process which one it is; here it is spawned.
    os.environ |= {"RANK": str(rank), "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=RANKS)
    run = mb.init("examples/sharded", name, run_id=name, every_rank=True, quiet=True)
    mine = torch.randn(QUARTER, generator=torch.Generator().manual_seed(rank)) * 0.3
    optimizer = torch.optim.Adam([mine], lr=0.01)
    first = begin(run, rank, mine, optimizer)
    for step in range(first + 1, STEPS + 1):
        loss = learn(mine, optimizer, step, rank)
        if rank == 0:
            run.log({"loss": loss}, step)
        time.sleep(PAUSE)
        if step % SAVE_EVERY == 0:
            save(run, step, rank, mine, optimizer)
    end(run, rank, mine)


def begin(run: mb.Run, rank: int, mine: torch.Tensor, optimizer: torch.optim.Optimizer) -> int:
    """The step to go on from, with this rank's shard; 0 for a training that had no time to save anything."""
    found = run.resume(shard=rank)
    dist.barrier()  # Until rank 0 has told the server that all go on from there.
    if found is None or found.step is None:
        return 0
    state = torch.load(found.path, weights_only=True)  # Nothing but tensors is unpickled.
    mine.copy_(state["parameters"])
    optimizer.load_state_dict(state["optimizer"])
    if rank == 0:
        print(f"goes on from step {found.step}", flush=True)
    return found.step


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


def save(run: mb.Run, step: int, rank: int, mine: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Every rank its own shard; the checkpoint counts when all are there, which is waited for to say so."""
    with TemporaryDirectory() as folder:
        shard = Path(folder) / f"rank-{rank}.pt"
        torch.save({"parameters": mine, "optimizer": optimizer.state_dict()}, shard)
        run.checkpoint(shard, step, shard=rank, shards=RANKS)
    arrived(run.wait(PATIENCE))
    dist.barrier()
    if rank == 0:
        print(f"saved step {step}", flush=True)


def end(run: mb.Run, rank: int, mine: torch.Tensor) -> None:
    """Finish, and say which network it is."""
    flat = whole(mine)
    arrived(run.finish(timeout=PATIENCE))
    if rank == 0:
        print(f"final model sha256:{hashlib.sha256(flat.numpy().tobytes()).hexdigest()}", flush=True)
    dist.barrier()


def arrived(is_sent: bool) -> None:
    """Stop if it did not: `modelbox sync` sends what waits."""
    if not is_sent:
        sys.exit("The server did not take all in time.")


if __name__ == "__main__":
    main()
