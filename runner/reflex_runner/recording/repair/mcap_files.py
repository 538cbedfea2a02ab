"""MCAP files of an episode that was open: written anew of every whole chunk, so that seeking readers take them."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from mcap.exceptions import McapError
from mcap.records import Channel, Chunk, Message, Metadata, Schema
from mcap.stream_reader import StreamReader, breakup_chunk
from mcap.writer import CompressionType, Writer

from reflex.durable_files import partial_of, take_name
from reflex_runner.recording.formats.files import OPEN
from reflex_runner.recording.formats.mcap_file import CHUNK_BYTES, LIBRARY
from reflex_runner.recording.repair.steps import Step, removal
from reflex_runner.recording.repair.texts import INTERRUPTED, final_of

__all__ = ["mcap_steps"]

OWNER_FILE: Final = 0o600


def mcap_steps(folder: Path) -> Iterator[Step]:
    """Of the files `mcap/*.open`."""
    for leftover in sorted(folder.glob(".*.partial")):
        yield removal(leftover, "was being written anew")
    for file in sorted(folder.glob(f"*{OPEN}")):
        if final_of(file).exists():
            yield removal(file, "is there whole as well")
            continue
        messages = sum(isinstance(record, Message) for record in _records(file))
        if not messages:
            yield removal(file, "no whole chunk was in it")
        else:
            yield Step(file, "finished", f"{messages} messages are kept", partial(_finish, file))


def _records(file: Path) -> Iterator[Any]:
    """Every record that is whole, those in chunks as well."""
    with file.open("rb") as stream:
        limit = os.fstat(stream.fileno()).st_size
        try:
            for record in StreamReader(stream, emit_chunks=True, record_size_limit=limit).records:
                yield from breakup_chunk(record) if isinstance(record, Chunk) else [record]
        except (McapError, ValueError, RuntimeError, EOFError, struct.error):
            return  # where it was cut


def _finish(file: Path) -> None:
    path = final_of(file)
    descriptor = os.open(partial_of(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, OWNER_FILE)
    with os.fdopen(descriptor, "wb") as stream:
        writer = Writer(stream, chunk_size=CHUNK_BYTES, compression=CompressionType.ZSTD)
        writer.start(profile="", library=LIBRARY)
        _copy(_records(file), writer)
        writer.add_metadata("reflex.episode", {"reason": INTERRUPTED.reason, "success": "unknown"})
        writer.finish()
    take_name(partial_of(path), path)
    file.unlink()


def _copy(records: Iterator[Any], writer: Writer) -> None:
    schemas: dict[int, int] = {}
    channels: dict[int, int] = {}
    for record in records:
        match record:
            case Schema() if record.id not in schemas:
                schemas[record.id] = writer.register_schema(record.name, record.encoding, record.data)
            case Channel() if record.id not in channels:
                schema = schemas.get(record.schema_id, 0)
                channels[record.id] = writer.register_channel(record.topic, record.message_encoding, schema)
            case Message() if record.channel_id in channels:
                channel = channels[record.channel_id]
                writer.add_message(channel, record.log_time, record.data, record.publish_time, record.sequence)
            case Metadata():
                writer.add_metadata(record.name, record.metadata)
