"""Faults of the server's processes."""

from __future__ import annotations

import signal
import time

import psutil

from tests.faults.chaos.stage import Draw, Effect, Kind, NoEffect, Recovery, Stage, Unhealed, poll

# What is promised; and how long it is waited for, so that a late recovery has a figure.
WHOLE_LIMIT_SECONDS = 2.0
WHOLE_PATIENCE_SECONDS = 30.0
# gunicorn's graceful_timeout, and the time that a worker needs to start.
RELOAD_PATIENCE_SECONDS = 40.0
END_SECONDS = 5.0


def _pick(workers: list[psutil.Process], draw: Draw) -> psutil.Process:
    if not workers:
        raise NoEffect("there was no worker")
    return workers[int(draw.pick * len(workers))]


def _kill_worker(stage: Stage, draw: Draw) -> Effect:
    worker = _pick(stage.server.workers(), draw)
    killed = time.monotonic()
    try:
        worker.kill()
    except psutil.NoSuchProcess as error:
        raise NoEffect(f"worker {worker.pid} was gone") from error
    if not poll(lambda: worker not in stage.server.workers(), END_SECONDS):
        raise NoEffect(f"worker {worker.pid} is still there")
    whole = stage.server.wait_until_whole(killed, WHOLE_PATIENCE_SECONDS)
    recovery = Recovery("capacity whole", whole, WHOLE_LIMIT_SECONDS)
    return Effect(f"worker {worker.pid} gone", time.monotonic(), (recovery,))


def _stop_worker(stage: Stage, draw: Draw) -> Effect:
    worker = _pick(stage.server.workers(), draw)
    try:
        worker.suspend()
        try:
            if not poll(lambda: worker.status() == psutil.STATUS_STOPPED, END_SECONDS):
                raise NoEffect(f"worker {worker.pid} did not stop")
            time.sleep(draw.seconds)
        finally:
            worker.resume()
    except psutil.NoSuchProcess as error:
        raise NoEffect(f"worker {worker.pid} was gone") from error
    resumed = time.monotonic()
    broken = () if worker in stage.server.workers() else (f"worker {worker.pid} was replaced",)
    return Effect(f"worker {worker.pid} stopped {draw.seconds:.1f} s", resumed, broken=broken)


def _restart(stage: Stage, draw: Draw) -> Effect:
    before = stage.server.master.pid
    told = time.monotonic()
    exit_code = stage.server.stop()
    down = time.monotonic()
    try:
        stage.server.start()
    except RuntimeError as error:
        raise Unhealed(str(error)) from error
    up = time.monotonic()
    after = stage.server.master.pid
    if after == before:
        raise NoEffect("the same process serves")
    broken = () if exit_code == 0 else (f"the server ended with exit code {exit_code}",)
    seen = f"master {before} ended in {down - told:.1f} s, {after} up in {up - down:.1f} s"
    return Effect(seen, up, broken=broken)


def _reload(stage: Stage, draw: Draw) -> Effect:
    master = stage.server.master
    old = set(stage.server.workers())
    told = time.monotonic()
    master.send_signal(signal.SIGHUP)
    if not poll(lambda: not old & set(stage.server.workers()), RELOAD_PATIENCE_SECONDS):
        left = {worker.pid for worker in old & set(stage.server.workers())}
        raise NoEffect(f"workers {left} still serve")
    replaced = time.monotonic()
    whole = stage.server.wait_until_whole(replaced, WHOLE_PATIENCE_SECONDS)
    recovery = Recovery("capacity whole", whole, WHOLE_LIMIT_SECONDS)
    seen = f"{len(old)} workers replaced in {replaced - told:.1f} s"
    return Effect(seen, time.monotonic(), (recovery,))


KINDS = (
    Kind("worker killed", "server", _kill_worker),
    Kind("worker stopped", "server", _stop_worker, 0.3, 2.5),
    Kind("server restarted", "server", _restart),
    Kind("server reloaded", "server", _reload),
)
