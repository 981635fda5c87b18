"""Which index a collection gets, and how it is searched."""

import pytest

from services.retrieval.index_kinds import IndexKind, IndexPolicy, SearchPlan


@pytest.mark.parametrize(
    ("items", "lite", "kinds"),
    [
        (10_000, True, [IndexKind.FLAT]),
        (10_000, False, [IndexKind.FLAT]),
        (1_000_000, True, [IndexKind.IVF_FLAT, IndexKind.FLAT]),
        (1_000_000, False, [IndexKind.HNSW]),
    ],
)
def test_the_kind_follows_from_size_and_server(
    items: int, lite: bool, kinds: list[IndexKind]
) -> None:
    assert list(IndexPolicy().kinds(items, lite=lite)) == kinds


def test_a_kind_that_was_set_is_the_only_one() -> None:
    assert list(IndexPolicy(IndexKind.HNSW).kinds(10, lite=True)) == [IndexKind.HNSW]


@pytest.mark.parametrize("kind", list(IndexKind))
@pytest.mark.parametrize("items", [1, 50, 10_000, 50_000_000])
def test_parameters_stay_within_what_milvus_accepts(kind: IndexKind, items: int) -> None:
    for effort in kind.efforts():
        for count in (1, 500, 16_384):
            params = SearchPlan(kind, effort, items).search_params(count)["params"]
            lists = kind.build_params(items).get("nlist", 1)
            assert 1 <= lists <= 65_536
            assert 1 <= params.get("nprobe", 1) <= lists
            assert count <= params.get("ef", count) <= 32_768


def test_the_last_effort_of_inverted_lists_is_exact() -> None:
    plan = SearchPlan(IndexKind.IVF_FLAT, IndexKind.IVF_FLAT.efforts()[-1], 10_000)
    lists = IndexKind.IVF_FLAT.build_params(10_000)["nlist"]
    assert plan.search_params(500)["params"]["nprobe"] == lists
