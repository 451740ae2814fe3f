"""A user of an embedded server in a process of its own.

    python user_program.py DIRECTORY

Prints ``in URL`` once it is in, leaves when its standard input ends, and prints ``out``.
"""

from __future__ import annotations

import select
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from booking.cli.supervise import signals_unwind
from booking.embedded import EmbeddedPostgresUnavailable, embedded_postgres

if __name__ == "__main__":
    try:
        with signals_unwind(), embedded_postgres(Path(sys.argv[1])) as url:
            print("in", url, flush=True)  # noqa: T201
            # In turns: a signal that comes just before a blocking read is seen only after it.
            while not select.select([sys.stdin], [], [], 0.1)[0]:
                pass
    except EmbeddedPostgresUnavailable as error:
        sys.exit(str(error))
    print("out", flush=True)  # noqa: T201
