"""Compressed frames -> stored words, decoded in child processes that a hostile file may kill or starve without harm.

A native decoder fault cannot be caught in Python, so no codec ever runs in the caller's process. Each child has a cap on memory,
on CPU time for one frame and on silence; its standard output and error are closed, it writes no core file, pixels come back
through shared memory and everything else as a few fixed bytes. A dead child is a refusal that names the file.
"""

import faulthandler
import mmap
import multiprocessing
import os
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from math import ceil
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from multiprocessing.shared_memory import SharedMemory

import numpy as np
from jaxtyping import Int16

from medomni.errors import BadInput, MedOmniError, MissingPart
from medomni.types.study import Frame, PixelLayout
from preprocessing.intake.codestream import CutShort, Damaged, MissingCodec, decode, frame_streams, single_stream
from preprocessing.intake.contents import Contents, Item
from preprocessing.intake.slices import SINGLE_FRAME_CT

MEMORY_FREE = 192 << 20
"""Bytes a child may take beyond what it starts with, on top of eight times its frame."""
SILENCE_SECONDS = 30.0
"""Longest wait for one frame; CPU time is capped far below, this ends a child that sleeps."""
PIXELS_PER_CPU_SECOND = 500_000
"""Slowest credible codec: ten times slower than JPEG 2000 on an old laptop."""
UNPACKED_FREE, MAX_PACKING = 256 << 20, 400
"""A series may always unpack to the first; beyond it, to the second times its packed size (CT packs 2 to 5 times)."""
FRAMES_FOR_TWO = 32
"""From this many frames two children share the work."""

_MESSAGE = struct.Struct("<IB")
Words = Int16[np.ndarray, "z y x"]


class _Answer(IntEnum):
    """What a child says about one frame."""

    DONE = 0
    DAMAGED = 1
    CUT_SHORT = 2
    NO_CODEC = 3
    NO_MEMORY = 4


@dataclass(frozen=True)
class _Work:
    """What one child decodes: every ``step``-th frame from ``first``."""

    frames: tuple[Frame, ...]
    shape: tuple[int, int, int]
    first: int
    step: int

    def indices(self) -> range:
        """The frames of this child in its order."""
        return range(self.first, len(self.frames), self.step)


def decode_frames(frames: tuple[Frame, ...], shape: tuple[int, int, int], progress: Callable[[float], None]) -> Words:
    """Return the stored 16-bit words of compressed frames, in their order.

    Raises:
        BadInput: a frame is damaged, or decoding it broke a cap; names its file.
        MissingPart: no codec for its compression is installed.
    """
    step = 2 if len(frames) >= FRAMES_FOR_TWO and (os.cpu_count() or 1) > 1 else 1
    works = [_Work(frames, shape, first, step) for first in range(min(step, len(frames)))]
    size = 2 * shape[0] * shape[1] * shape[2]
    if size > UNPACKED_FREE and size > MAX_PACKING * sum(frame.length for frame in frames):
        raise _refusal(frames[0], f"{size >> 20} MiB out of far too little data")
    if _can_fork():
        memory = mmap.mmap(-1, size)
        _run(multiprocessing.get_context("fork"), works, _child_in_fork, memory, progress)
        return np.frombuffer(memory, np.int16).reshape(shape)
    return _decode_in_spawned(works, size, progress)


def _decode_in_spawned(works: list[_Work], size: int, progress: Callable[[float], None]) -> Words:
    """Decode where a process cannot be forked: through named shared memory, copied out before it is given back."""
    shared = SharedMemory(create=True, size=size)
    try:
        _run(multiprocessing.get_context("spawn"), works, _child_in_spawn, shared.name, progress)
        return np.frombuffer(bytes(shared.buf[:size] if shared.buf else b""), np.int16).reshape(works[0].shape).copy()
    finally:
        shared.close()
        shared.unlink()


def _run(
    context: BaseContext,
    works: list[_Work],
    child: Callable[..., None],
    memory: mmap.mmap | str,
    progress: Callable[[float], None],
) -> None:
    children: dict[Connection, tuple[BaseProcess, list[int]]] = {}
    try:
        for work in works:
            inlet, outlet = context.Pipe(duplex=False)
            process = context.Process(target=child, args=(work, memory, outlet), daemon=True)  # type: ignore[attr-defined]
            process.start()
            outlet.close()
            children[inlet] = (process, list(work.indices()))
        _listen(children, works[0].frames, progress)
    finally:
        for inlet, (process, _) in children.items():
            process.kill()
            process.join()
            inlet.close()


def _listen(
    children: dict[Connection, tuple[BaseProcess, list[int]]],
    frames: tuple[Frame, ...],
    progress: Callable[[float], None],
) -> None:
    done, waiting = 0, set(children)
    while waiting:
        ready = [inlet for inlet in wait(list(waiting), SILENCE_SECONDS) if isinstance(inlet, Connection)]
        if not ready:
            raise _refusal(frames[min(children[inlet][1][0] for inlet in waiting)], "it took too long")
        for inlet in ready:
            process, left = children[inlet]
            try:
                index, answer = _MESSAGE.unpack(inlet.recv_bytes(_MESSAGE.size))
            except (EOFError, OSError, struct.error):
                waiting.discard(inlet)
                if left:
                    process.join(1.0)
                    raise _refusal(frames[left[0]], _cause(process.exitcode)) from None
                continue
            if answer != _Answer.DONE or index != left[0]:
                raise _answer_to_error(frames[left[0]], answer)
            del left[0]
            done += 1
            progress(done / len(frames))


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"the decoder was stopped by signal {-exit_code}"
    return "the decoder stopped"


def _answer_to_error(frame: Frame, answer: int) -> MedOmniError:
    if answer == _Answer.NO_CODEC:
        return MissingPart(
            "no codec for this compression is installed",
            found=f"transfer syntax {frame.layout.transfer_syntax_uid if frame.layout else ''}",
            remedy="install python-gdcm, pyjpegls, pylibjpeg-openjpeg and pylibjpeg-rle, or export uncompressed",
            where=_name(frame),
        )
    if answer == _Answer.CUT_SHORT:
        return BadInput(
            "the file is cut short", found="compressed pixel data that end too early",
            remedy="copy or export the study again", where=_name(frame),
        )  # fmt: skip
    return _refusal(frame, "it needs too much memory" if answer == _Answer.NO_MEMORY else "damaged compressed data")


def _refusal(frame: Frame, found: str) -> BadInput:
    return BadInput("the pixels cannot be decoded", found=found, remedy="export the series again", where=_name(frame))


def _name(frame: Frame) -> str:
    with Contents() as contents:
        return contents.named(Item(frame.path, frame.path.name, frame.member)).name


def _can_fork() -> bool:
    """Whether this system forks processes safely."""
    return "fork" in multiprocessing.get_all_start_methods() and sys.platform != "darwin"


def _child_in_fork(work: _Work, memory: mmap.mmap, outlet: Connection) -> None:
    _child(work, np.frombuffer(memory, np.int16).reshape(work.shape), outlet)


def _child_in_spawn(work: _Work, memory: str, outlet: Connection) -> None:
    shared = SharedMemory(memory)
    _child(work, np.ndarray(work.shape, np.int16, shared.buf), outlet)
    outlet.close()
    os._exit(0)  # the array still holds the shared memory, which would complain at a normal exit


def _child(work: _Work, words: Words, outlet: Connection) -> None:
    """Decode this child's frames into ``words``; say so after each, and stop at the first that fails."""
    _close_output()
    rows, columns = work.shape[1:]
    _cap_memory(MEMORY_FREE + 8 * 2 * rows * columns)
    with Contents() as contents:
        opened: tuple[Frame, list[bytes]] | None = None
        for index in work.indices():
            frame = work.frames[index]
            _cap_cpu(1 + rows * columns / PIXELS_PER_CPU_SECOND)
            try:
                if opened is None or not _is_same_object(opened[0], frame):
                    opened = frame, _streams(contents, frame)
                words[index] = decode(opened[1][frame.frame_index], _layout(frame), rows, columns)
                answer = _Answer.DONE
            except MissingCodec:
                answer = _Answer.NO_CODEC
            except MemoryError:
                answer = _Answer.NO_MEMORY
            except (CutShort, IndexError, BadInput):
                answer = _Answer.CUT_SHORT
            except Damaged:
                answer = _Answer.DAMAGED
            outlet.send_bytes(_MESSAGE.pack(index, answer))
            if answer != _Answer.DONE:
                return


def _streams(contents: Contents, frame: Frame) -> list[bytes]:
    """Return the code streams of the object that holds a frame."""
    data = contents.whole(Item(frame.path, frame.path.name, frame.member))
    value = data[frame.offset : frame.offset + frame.length]
    return single_stream(value) if frame.sop_class_uid == SINGLE_FRAME_CT else frame_streams(value)


def _is_same_object(one: Frame, other: Frame) -> bool:
    return one.path == other.path and one.member == other.member


def _layout(frame: Frame) -> PixelLayout:
    if frame.layout is None:
        raise ValueError("a compressed frame needs a layout")
    return frame.layout


def _close_output() -> None:
    """Send the child's output nowhere: codecs write warnings, and those can quote the file."""
    faulthandler.disable()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)


def _cap_memory(free: int) -> None:
    """Cap the child's memory at what it has now plus ``free`` bytes, where the system can."""
    try:
        import resource

        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 (no path of the user's)
            pages = int(file.read().split()[0])
    except (ImportError, OSError):
        return
    most = pages * resource.getpagesize() + free
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _cap_cpu(seconds: float) -> None:
    """Let the child use that much more CPU time before the system stops it, where it can."""
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = ceil(used.ru_utime + used.ru_stime + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
