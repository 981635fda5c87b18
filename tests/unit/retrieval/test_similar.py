"""Neighbour lists as they come out of a release."""

from services.retrieval.similar import similar_items
from tests.unit.retrieval.world import World


def test_neighbours_come_nearest_first_without_the_padding(world: World) -> None:
    found = similar_items(world.release, row=0, count=10)
    assert found.rows.tolist() == [1, 2]
    assert found.scores.tolist() == [0.5, 0.25]


def test_no_more_than_count_are_returned(world: World) -> None:
    assert similar_items(world.release, row=0, count=1).rows.tolist() == [1]
