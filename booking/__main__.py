"""The command line: ``python -m booking COMMAND``."""

from __future__ import annotations

import argparse
import logging.config
import sys
from collections.abc import Sequence

import psycopg2

from booking.cli import commands
from booking.config import Config
from booking.db.failures import one_line
from booking.db.migrations import MigrationError
from booking.errors import ConfigurationError, DomainError
from booking.middleware.logs import logging_config


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 when it is done, 1 when not, 2 for a wrong call."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command is not commands.psql:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    try:
        config = Config.from_environment()
        logging.config.dictConfig(
            logging_config(level=config.log_level, log_format=config.log_format)
        )
        code: int = options.command(config, options)
    except (ConfigurationError, MigrationError) as error:
        print(error, file=sys.stderr)
        return 1
    except DomainError as error:
        print(error.detail, file=sys.stderr)
        return 1
    except psycopg2.OperationalError as error:
        print(f"The database is not reached: {one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m booking", description="The booking backend.")
    names = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: commands.Command, text: str) -> argparse.ArgumentParser:
        subparser = names.add_parser(name, help=text, description=text)
        subparser.set_defaults(command=command)
        return subparser

    add("serve", commands.serve, "migrate and serve; with a database of its own where none is set")
    add("migrate", commands.migrate, "bring the schema up to date")
    add("expire-pending", commands.expire_pending, "fail every hold that has lapsed")
    add("audit", commands.audit, "check every invariant; exit 1 on a violation")
    token = add("token", commands.token, "print a token signed with AUTH_JWT_SECRET")
    token.add_argument("--user", required=True, metavar="NAME", help="the user id, claim sub")
    token.add_argument("--admin", action="store_true", help="give it the role admin")
    token.add_argument(
        "--ttl",
        type=int,
        default=commands.DEFAULT_TOKEN_SECONDS,
        metavar="SECONDS",
        help="its life",
    )
    add("seed-demo", commands.seed_demo, "add slots and bookings to look at")
    add("openapi", commands.openapi, "print the OpenAPI document, for docs/openapi.json")
    add("psql", commands.psql, "open psql on the database; further arguments are given to it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
