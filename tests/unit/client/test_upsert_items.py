"""`tandem upsert-items` speaks of positions in the file, whichever call they went with."""

import json
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pandas as pd
import pytest

from services.common.errors import InvalidArgument
from services.common.live_items import LiveItem
from services.features.batches import checked
from services.features.codec import decode_item
from services.features.items import MAX_ITEMS, validate
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_cli.main import main


class Admin:
    """Refuses items by the service's own rules, and keeps the last call's."""

    def __init__(self) -> None:
        self.items: list[LiveItem] = []

    def UpsertItems(
        self, request: pb.UpsertItemsRequest, context: grpc.ServicerContext
    ) -> pb.UpsertItemsResponse:
        self.items = items = [decode_item(item) for item in request.items]
        try:
            found = checked("items", items, MAX_ITEMS, validate)
        except InvalidArgument as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        response = pb.UpsertItemsResponse(accepted=len(found.good))
        for index, fault in found.errors:
            response.errors.add(index=index, field=fault.field, reason=fault.reason)
        return response


@pytest.fixture
def admin() -> Admin:
    return Admin()


@pytest.fixture
def port(admin: Admin) -> Iterator[int]:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    handler = grpc.unary_unary_rpc_method_handler(
        admin.UpsertItems,
        pb.UpsertItemsRequest.FromString,
        pb.UpsertItemsResponse.SerializeToString,
    )
    handlers = {"UpsertItems": handler}
    name = "tandem.recommender.v1.AdminService"
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(name, handlers)])
    bound = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield bound
    server.stop(None).wait()


def items_file(folder: Path, bad: set[int]) -> str:
    ids = [f"i{n}" for n in range(2_500)]
    titles = ["t" * (1_001 if n in bad else 5) for n in range(2_500)]
    path = folder / "items.csv"
    pd.DataFrame({"item_id": ids, "title": titles}).to_csv(path, index=False)
    return str(path)


def test_a_thousand_that_is_refused_as_a_whole_does_not_lose_what_came_before(
    tmp_path: Path, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    file = items_file(tmp_path, {7, *range(1_000, 2_000)})
    with pytest.raises(SystemExit) as end:
        main(["upsert-items", file, "--port", str(port), "--json"])
    output = capsys.readouterr()
    report = json.loads(output.out)
    assert (report["accepted"], [error["index"] for error in report["errors"]]) == (999, [7])
    assert end.value.code == 1
    assert output.err == (
        "error: items 1001 to 2000 not accepted, 999 before were: "
        "item 1001: title: has 1001 characters, at most 1000 are allowed\n"
    )


def test_refused_items_are_named_by_their_place_in_the_file(
    tmp_path: Path, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["upsert-items", items_file(tmp_path, {2_400}), "--port", str(port)])
    first, second = capsys.readouterr().out.splitlines()
    assert first == "accepted 2499, refused 1"
    assert second == "item 2401: title: has 1001 characters, at most 1000 are allowed"


def test_creators_and_times_of_a_file_arrive(tmp_path: Path, port: int, admin: Admin) -> None:
    file = tmp_path / "items.csv"
    file.write_text(
        "item_id,creators,available_from,available_until\n"
        "i,Ann|Bob,2024-01-01T00:00:00Z,1704067201.5\nj,,,\n"
    )
    main(["upsert-items", str(file), "--port", str(port)])
    shown, for_ever = admin.items
    assert shown == LiveItem(
        "i", creators=("Ann", "Bob"), available_from=1704067200.0, available_until=1704067201.5
    )
    assert for_ever == LiveItem("j")
