"""The protos keep to buf's STANDARD style, and to its COMMENTS rules."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from google.protobuf.descriptor import FileDescriptor

from models.events import EventKind
from services.orchestrator.pipeline import Level
from tandem.features.v1 import features_pb2
from tandem.model.v1 import model_pb2
from tandem.ranking.v1 import ranking_pb2
from tandem.recommender.v1 import recommender_pb2
from tandem.retrieval.v1 import retrieval_pb2
from tandem.slate.v1 import slate_pb2

ROOT = Path(__file__).parents[2] / "protos"
MODULES = (features_pb2, model_pb2, ranking_pb2, recommender_pb2, retrieval_pb2, slate_pb2)
FILES = [module.DESCRIPTOR for module in MODULES]
SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.package)


def test_every_proto_file_is_checked_here() -> None:
    assert {file.name for file in FILES} == {
        str(path.relative_to(ROOT)) for path in ROOT.rglob("*.proto")
    }


@each_file
def test_packages_are_versioned_and_match_their_folders(file: FileDescriptor) -> None:
    assert re.fullmatch(r"tandem\.[a-z]+\.v\d+", file.package)
    assert str(Path(file.name).parent) == file.package.replace(".", "/")


@each_file
def test_services_and_their_messages_are_named_after_their_methods(file: FileDescriptor) -> None:
    used: list[str] = []
    for service in file.services_by_name.values():
        assert service.name.endswith("Service")
        for method in service.methods:
            assert method.input_type.name == f"{method.name}Request"
            assert method.output_type.name == f"{method.name}Response"
            used += [method.input_type.full_name, method.output_type.full_name]
    assert len(used) == len(set(used))


@each_file
def test_enums_start_unspecified_and_prefix_their_values(file: FileDescriptor) -> None:
    for enum in file.enum_types_by_name.values():
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper()
        assert enum.values_by_number[0].name == f"{prefix}_UNSPECIFIED"
        assert all(value.name.startswith(f"{prefix}_") for value in enum.values)


@each_file
def test_fields_are_snake_case(file: FileDescriptor) -> None:
    for message in file.message_types_by_name.values():
        for field in message.fields:
            assert SNAKE.fullmatch(field.name), field.full_name


@each_file
def test_everything_that_is_declared_carries_a_comment(file: FileDescriptor) -> None:
    declaration = re.compile(r"\s*(service|rpc|message|enum|[A-Z_0-9]+ = |.+ = \d+;)")
    lines = (ROOT / file.name).read_text().splitlines()
    for previous, line in pairwise(lines):
        if declaration.match(line) and not line.startswith("syntax"):
            assert previous.strip().startswith("//"), f"{file.name}: {line.strip()}"


def test_event_kinds_in_code_are_those_of_the_api() -> None:
    api = {
        name.removeprefix("EVENT_KIND_"): number
        for name, number in recommender_pb2.EventKind.items()
        if number
    }
    assert {kind.name: kind.value for kind in EventKind} == api


def test_levels_in_code_are_those_of_the_api() -> None:
    api = {
        name.removeprefix("LEVEL_"): number
        for name, number in recommender_pb2.Level.items()
        if number
    }
    assert {level.name: level.value for level in Level} == api
