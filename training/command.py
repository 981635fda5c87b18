"""How jobs that a scheduler starts end."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from models.errors import ReportedError
from tandem_client import TandemError


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Ends the process with status 1, and one line on stderr, where what it does fails for a reason
    that is not a fault of the program."""
    try:
        yield
    except (ReportedError, TandemError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        sys.exit(f"error: {error.filename or ''}: {error.strerror or error}")
    except SQLAlchemyError as error:
        sys.exit(f"error: database: {str(error).splitlines()[0]}")
