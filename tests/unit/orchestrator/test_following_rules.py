"""A file of rules that somebody is at: what holds meanwhile, and afterwards."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.common.database import open_database
from services.orchestrator.rules_archive import RulesArchive
from services.orchestrator.rules_file import RulesFile
from services.orchestrator.rules_yaml import RulesError, parse_rules

BLOCK = "block: {genres: [Horror]}\n"
POLL_SECONDS = 0.1


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "rules.yaml"
    file.write_text(BLOCK)
    return file


@pytest.fixture
async def rules(file: Path, tmp_path: Path) -> AsyncIterator[RulesFile]:
    engine = open_database(f"sqlite:///{tmp_path / 'tandem.db'}")
    rules = RulesFile(file, RulesArchive(engine), poll_seconds=POLL_SECONDS)
    await rules.start()
    yield rules
    await rules.close()
    engine.dispose()


async def held(rules: RulesFile, seconds: float) -> set[str]:
    """Every text that held during some seconds."""
    texts = set[str]()
    for _ in range(round(seconds / 0.01)):
        texts.add(rules.current().text)
        await asyncio.sleep(0.01)
    return texts


async def test_a_file_that_is_gone_for_a_moment_is_not_no_rules(
    rules: RulesFile, file: Path
) -> None:
    away = file.with_suffix(".away")
    for _ in range(4):  # at whichever moment the follower looks
        os.rename(file, away)
        texts = await held(rules, 0.6 * POLL_SECONDS)
        os.rename(away, file)
        assert texts | await held(rules, 1.7 * POLL_SECONDS) == {BLOCK}


async def test_a_file_that_is_gone_for_good_is_no_rules(rules: RulesFile, file: Path) -> None:
    os.unlink(file)
    await held(rules, 5 * POLL_SECONDS)
    assert rules.current().text == ""


async def test_a_change_holds_and_what_is_not_valid_does_not(rules: RulesFile, file: Path) -> None:
    await asyncio.to_thread(file.write_text, "caps: {genre: 2}")
    await held(rules, 5 * POLL_SECONDS)
    assert rules.current().rules.caps == {"genre": 2}
    await asyncio.to_thread(file.write_text, "caps: 2")
    await held(rules, 5 * POLL_SECONDS)
    assert rules.current().rules.caps == {"genre": 2}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("block: {}\n? [a]\n: b\n", 2),
        ("block: {}\n? {a: b}\n: c\n", 2),
        ("caps:\n  genre: !!bool perhaps\n", 2),
        ("caps:\n  genre: !!timestamp never\n", 2),
        ("windows:\n  - items: [a]\n    ends: 2026-13-01\n", 3),
        (f"caps:\n  genre: {'9' * 5_000}\n", 2),
    ],
)
def test_odd_yaml_is_refused_by_its_line(text: str, line: int) -> None:
    with pytest.raises(RulesError) as caught:
        parse_rules(text)
    assert caught.value.line == line
