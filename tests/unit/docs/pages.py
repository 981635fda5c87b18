"""Pages whose Python blocks run: the blocks in order, in one namespace, each with what it prints.

A block of Python is followed by a block of text that holds its output, or by none when it prints
nothing:

    ```text
    what was printed
    ```

Numbers without a decimal point must come out the same. One with d decimals may differ by one in
the last of them, or by what the block allows: "```text tolerance=0.03". Training in another
processor's arithmetic is why a block would.

    python -m tests.unit.docs.pages docs/walkthrough.md            # says what differs
    python -m tests.unit.docs.pages --write docs/walkthrough.md    # writes the outputs into it
"""

import argparse
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]

_BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?:\n?^```text(?P<info>[^\n]*)\n(?P<output>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)
_TOLERANCE = re.compile(r"^ tolerance=(\d*\.\d+)$")
_NUMBER = re.compile(r"-?\d*\.\d+")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Block:
    """A block of Python, and what the page says it prints.

    Attributes:
        code: the Python.
        output: what it prints; empty for nothing.
        tolerance: by how much numbers may differ; None for one in the last decimal.
        line: of the page where the code begins, from 1.
    """

    code: str
    output: str
    tolerance: float | None
    line: int


def blocks(page: str) -> list[Block]:
    """The Python blocks of a page, in order.

    Raises:
        ValueError: a block of text has a remark that is no tolerance.
    """
    return [_block(page, found) for found in _BLOCK.finditer(page)]


def outputs(page: str, name: str) -> Iterator[tuple[Block, str]]:
    """Runs the blocks in one namespace, and gives each with what it really prints.

    Args:
        page: Markdown.
        name: of the page, for tracebacks.
    """
    namespace: dict[str, Any] = {"__name__": "__page__"}
    for block in blocks(page):
        printed = io.StringIO()
        # Blank lines before the code make a traceback name the line of the page.
        code = compile("\n" * (block.line - 1) + block.code, name, "exec")
        with redirect_stdout(printed):
            exec(code, namespace)
        yield block, _stripped(printed.getvalue())


def rewritten(page: str, printed: Sequence[str]) -> str:
    """The page with these outputs, one a block."""
    remaining = iter(printed)

    def replaced(found: re.Match[str]) -> str:
        output, code = next(remaining), found["code"]
        text = f"\n```text{found['info'] or ''}\n{output}```\n" if output else ""
        return f"```python\n{code}```\n{text}"

    return _BLOCK.sub(replaced, page)


def same(expected: str, printed: str, tolerance: float | None = None) -> bool:
    """Whether two outputs say the same: the words are equal, and so are the numbers, nearly."""
    if _words(expected) != _words(printed):
        return False
    pairs = zip(_NUMBER.findall(expected), _NUMBER.findall(printed), strict=True)
    return all(_near(left, right, tolerance) for left, right in pairs)


def _block(page: str, found: re.Match[str]) -> Block:
    info, tolerance = found["info"] or "", None
    line = page.count("\n", 0, found.start("code")) + 1
    if info:
        allowed = _TOLERANCE.match(info)
        if allowed is None:
            raise ValueError(f"line {line}: text{info} is no tolerance")
        tolerance = float(allowed[1])
    return Block(found["code"], found["output"] or "", tolerance, line)


def _words(output: str) -> str:
    # A number that is a character shorter or longer shifts the columns of its table.
    return _SPACE.sub(" ", _NUMBER.sub(" # ", output)).strip()


def _near(left: str, right: str, tolerance: float | None) -> bool:
    decimals = min(len(number.partition(".")[2]) for number in (left, right))
    allowed = 10.0**-decimals if tolerance is None else tolerance
    return abs(float(left) - float(right)) <= allowed * (1 + 1e-9)


def _stripped(text: str) -> str:
    """Without spaces at the ends of lines, which editors and hooks take away."""
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def differences(page: str, name: str) -> list[str]:
    """Outputs that are not those of the page, each with the line of its block."""
    return [
        f"{name}:{block.line}\n{block.output}--- but prints ---\n{printed}"
        for block, printed in outputs(page, name)
        if not same(block.output, printed, block.tolerance)
    ]


def main() -> None:
    """The command of the module's docstring; ends with status 1 where something differs."""
    parser = argparse.ArgumentParser(description="Runs the Python of pages.")
    parser.add_argument("--write", action="store_true", help="write the outputs into the pages")
    parser.add_argument("pages", nargs="+", type=Path)
    arguments = parser.parse_args()
    # Threads of linear algebra that wait for one another on a busy machine take ten times as long.
    # Read when the first block imports numpy.
    os.environ["OMP_NUM_THREADS"] = "1"
    found = []
    for path in arguments.pages:
        page = path.read_text()
        if arguments.write:
            printed = [text for _block, text in outputs(page, str(path))]
            path.write_text(rewritten(page, printed))
        else:
            found += differences(page, str(path))
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
