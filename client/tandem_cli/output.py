"""Two faces of every command: one JSON document for machines, a table for people."""

import json
from collections.abc import Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table

_console = Console(markup=False, emoji=False)  # "[rec]" is a title


def print_json(document: Any) -> None:
    """Prints one JSON document; a message with proto field names and every field present."""
    plain = message_dict(document) if isinstance(document, Message) else document
    print(json.dumps(plain, indent=2, allow_nan=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "") -> None:
    """Prints rows under headings; numbers to the right."""
    table = Table(caption=caption or None, caption_justify="left")
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_text(value) for value in row))
    _console.print(table)


def message_dict(message: Message) -> dict[str, Any]:
    """A message as a dictionary: zero and empty fields too, unset messages as null."""
    plain: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    _add_unset(message, plain)
    return plain


def _add_unset(message: Message, plain: dict[str, Any]) -> None:
    for field in message.DESCRIPTOR.fields:
        child_type = field.message_type
        if child_type is None or child_type.GetOptions().map_entry:
            continue
        if child_type.full_name == "google.protobuf.Timestamp":
            plain.setdefault(field.name, None)
        elif field.is_repeated:
            for child, child_plain in zip(
                getattr(message, field.name), plain[field.name], strict=True
            ):
                _add_unset(child, child_plain)
        elif message.HasField(field.name):
            _add_unset(getattr(message, field.name), plain[field.name])
        else:
            plain[field.name] = None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
