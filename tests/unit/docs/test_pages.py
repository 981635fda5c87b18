"""Pages with Python in them do what they say."""

import subprocess
import sys

import pytest

from tests.unit.docs.pages import ROOT, blocks, differences, outputs, rewritten, same

PAGE = """A page.

```python
x = 2
```

```python
print(x / 3)
```

```text tolerance=0.1
0.7
```
"""


@pytest.mark.parametrize("page", ["docs/models.md", "docs/walkthrough.md"])
def test_every_block_prints_what_the_page_says(page: str) -> None:
    command = [sys.executable, "-m", "tests.unit.docs.pages", page]
    # A process of its own: numpy reads the number of threads once, when it is imported.
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    advice = f"if that is right: python -m tests.unit.docs.pages --write {page}"
    assert checked.returncode == 0, f"{checked.stderr}\n{advice}"


def test_a_page_that_says_otherwise_is_found_out() -> None:
    assert differences(PAGE, "page") == []
    (found,) = differences(PAGE.replace("0.7", "0.9"), "page")
    assert found == "page:8\n0.9\n--- but prints ---\n0.6666666666666666\n"


def test_blocks_share_one_namespace_and_output_goes_into_the_page() -> None:
    printed = [text for _block, text in outputs(PAGE, "page")]
    assert printed == ["", "0.6666666666666666\n"]
    assert rewritten(PAGE, printed) == PAGE.replace("0.7", "0.6666666666666666")
    assert [block.line for block in blocks(PAGE)] == [4, 8]


def test_an_output_is_added_and_one_that_is_no_more_is_taken_out() -> None:
    assert "```text\nnow\n```" in rewritten(PAGE, ["now\n", "0.7\n"])
    assert "```text" not in rewritten(PAGE, ["", ""])


def test_a_remark_that_is_no_tolerance_is_an_error() -> None:
    with pytest.raises(ValueError, match="line 8"):
        blocks(PAGE.replace("tolerance", "tolerant"))


@pytest.mark.parametrize(
    ("expected", "printed", "tolerance", "equal"),
    [
        ("a 0.51\n", "a  0.52\n", None, True),
        ("a 0.51\n", "a 0.53\n", None, False),
        ("a 0.51\n", "a 0.53\n", 0.03, True),
        ("-0.01\n", "0.00\n", None, True),
        ("3 users\n", "4 users\n", 5.0, False),
        ("item-3\n", "item-4\n", None, False),
        ("one 0.5\n", "two 0.5\n", 1.0, False),
        ("0.5 0.5\n", "0.5\n", 1.0, False),
        (".25\n", ".26\n", None, True),
    ],
)
def test_words_and_whole_numbers_are_exact_and_decimals_are_near(
    expected: str, printed: str, tolerance: float | None, equal: bool
) -> None:
    assert same(expected, printed, tolerance) is equal
