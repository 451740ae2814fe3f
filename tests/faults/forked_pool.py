"""A process that uses a pool, forks, and uses it on both sides: ``python -m`` with a DSN.

It is a program of its own because a process with threads, as a test's is, must not fork. Prints one
line a process: its backends, and how many answers it got that belonged to the other.
"""

from __future__ import annotations

import os
import sys

from booking.app import create_services
from booking.db.pool import ConnectionPool
from tests.support.factories import make_config

ROUNDS = 300


def ask(pool: ConnectionPool, question: str) -> tuple[str, int]:
    with pool.connection() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT %s::text, pg_backend_pid()", (question,))
        answer, backend = cursor.fetchone() or ("", 0)
        return answer, backend


def run(pool: ConnectionPool, name: str, backend: int) -> str:
    """Ask many times; ``backend`` is one that this process has had already."""
    questions = [f"{name} {number}" for number in range(ROUNDS)]
    answers = [ask(pool, question) for question in questions]
    wrong = sum(
        answer != question for question, (answer, _) in zip(questions, answers, strict=True)
    )
    backends = {str(backend), *(str(found) for _, found in answers)}
    return f"{name} {','.join(sorted(backends))} {wrong}"


def main(dsn: str) -> None:
    pool = create_services(make_config(database_url=dsn)).pool
    _, backend = ask(pool, "before the fork")
    wait, ready = os.pipe()
    child = os.fork()
    if not child:
        # First alone: what both wait for on one socket would look like a connection that was cut.
        _, backend = ask(pool, "alone")
    os.close(ready)
    if child:
        os.read(wait, 1)
    sys.stdout.write(run(pool, "parent" if child else "child", backend) + "\n")
    sys.stdout.flush()
    if not child:
        os._exit(0)
    _, status = os.waitpid(child, 0)
    # The child's end must not have ended what the parent uses.
    ask(pool, "after the child")
    pool.close()
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(sys.argv[1])
