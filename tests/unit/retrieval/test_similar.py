"""Neighbour lists as they come out of a release."""

import pytest

from services.common.errors import FailedPrecondition, InvalidArgument
from services.retrieval.similar import Comparison, check_comparison, similar_items
from tests.unit.retrieval.world import World


def test_neighbours_come_nearest_first_without_the_padding(world: World) -> None:
    found = similar_items(world.release, row=0, count=10)
    assert found.rows.tolist() == [1, 2]
    assert found.scores.tolist() == [0.5, 0.25]


def test_no_more_than_count_are_returned(world: World) -> None:
    assert similar_items(world.release, row=0, count=1).rows.tolist() == [1]


def test_what_the_release_holds_may_be_asked_for_by_name_or_without(world: World) -> None:
    for method in ("", "cosine"):
        for missing in ("", "zero"):
            assert check_comparison(world.release, method, missing) == Comparison("cosine", "zero")


def test_another_comparison_is_refused_with_what_the_release_holds(world: World) -> None:
    held = "holds method cosine with missing zero"
    with pytest.raises(FailedPrecondition, match=f"^method: release .* {held}, not pearson"):
        check_comparison(world.release, "pearson", "")
    with pytest.raises(FailedPrecondition, match=f"^missing: release .* {held}, not ignore"):
        check_comparison(world.release, "cosine", "ignore")


def test_an_unknown_comparison_is_an_invalid_argument(world: World) -> None:
    with pytest.raises(InvalidArgument, match=r"^method: 'nope' is not one of cosine, "):
        check_comparison(world.release, "nope", "")
    with pytest.raises(InvalidArgument, match=r"^missing: 'nope' is not one of zero, "):
        check_comparison(world.release, "", "nope")
