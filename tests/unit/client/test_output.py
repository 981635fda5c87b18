import pytest

from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_cli.output import message_dict, print_table


def test_zero_and_empty_fields_are_printed_and_unset_messages_are_null() -> None:
    plain = message_dict(pb.RecommendResponse(items=[pb.RecommendedItem(item_id="i")]))
    assert plain == {
        "items": [
            {
                "item_id": "i",
                "score": 0.0,
                "title": "",
                "sources": [],
                "reasons": [],
                "parts": {},
                "propensity": 0.0,
                "source_ranks": {},
                "label": "",
                "causes": [],
            }
        ],
        "release_id": "",
        "level": "LEVEL_UNSPECIFIED",
        "stage_millis": {},
        "request_id": "",
        "trace": None,
    }


def test_enums_are_printed_by_name() -> None:
    assert message_dict(pb.RecommendResponse(level=pb.LEVEL_STORED))["level"] == "LEVEL_STORED"


def test_unset_messages_within_messages_are_null_too() -> None:
    plain = message_dict(pb.ListReleasesResponse(releases=[pb.Release(release_id="r")]))
    assert plain["releases"][0]["created_at"] is None


def test_what_looks_like_markup_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["title"], [["[rec]"], ["[/b] :heart:"]], "[bold]")
    printed = capsys.readouterr().out
    assert "│ [rec] " in printed and "│ [/b] :heart: " in printed and "[bold]" in printed
