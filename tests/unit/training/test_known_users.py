"""Whose regions and friends training knows."""

from collections.abc import Collection

import pandas as pd

from training.job import known_users


def users(*rows: tuple[str, str, tuple[str, ...]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["user_id", "region", "friends"], dtype=object)


def nobody(_: Collection[str]) -> set[str]:
    return set()


def test_upserted_users_win_over_those_of_files() -> None:
    files = users(("a", "de", ("b",)), ("b", "de", ()))
    upserted = users(("b", "fr", ("a",)), ("c", "no", ()))
    assert known_users(files, upserted, nobody).values.tolist() == [
        ["a", "de", ("b",)],
        ["b", "fr", ("a",)],
        ["c", "no", ()],
    ]


def test_without_upserted_users_the_files_are_all_there_is() -> None:
    files = users(("a", "de", ("b",)))
    assert known_users(files, users(), nobody).equals(files)


def test_what_files_say_of_erased_users_is_left_out_but_not_what_was_upserted_since() -> None:
    def erased(asked: Collection[str]) -> set[str]:
        return {"a", "b"}.intersection(asked)

    files = users(("a", "de", ()), ("b", "de", ()), ("c", "de", ()))
    found = known_users(files, users(("b", "fr", ())), erased)
    assert found.values.tolist() == [["c", "de", ()], ["b", "fr", ()]]
