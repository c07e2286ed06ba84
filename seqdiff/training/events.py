"""TensorBoard's files, written as they come.

torch's writer hands points to a thread of its own, which prints a trace and dies where the disk is full or the folder
is gone. Here a point is in the file, or the error is the caller's, when `add` returns.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class EventFile:
    """An event file of scalars.

    Parameters
    ----------
    folder : Path
        It is made if it is not there.
    purge_step : int, optional
        Points of earlier files from this step on are forgotten: a resumed run writes them anew.

    Examples
    --------
    >>> events = EventFile(Path("tb"))
    >>> events.add(1, {"train/loss": 0.5})
    >>> events.close()
    """

    def __init__(self, folder: Path, purge_step: int | None = None) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns() // 1000:016d}.{socket.gethostname()}.{os.getpid()}.0"
        self._file = open(folder / name, "xb")  # noqa: SIM115 - closed by `close`
        self._records, self._event = RecordWriter(self._file), Event
        self._write(file_version="brain.Event:2")
        if purge_step is not None:
            self._write(step=purge_step, session_log=SessionLog(status=SessionLog.START))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write a point of each scalar.

        Raises
        ------
        OSError
            If the disk is full.
        """
        from tensorboard.compat.proto.summary_pb2 import Summary

        points = [Summary.Value(tag=name, simple_value=float(value)) for name, value in values.items()]
        self._write(step=step, summary=Summary(value=points))

    def _write(self, **fields: Any) -> None:
        self._records.write(self._event(wall_time=time.time(), **fields).SerializeToString())
        self._file.flush()

    def close(self) -> None:
        self._file.close()
