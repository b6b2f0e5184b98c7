"""A small file system of its own, to be filled up for real.

ext4 in an image on a loop device where that can be had (it needs root), else a tmpfs in a user
namespace, which needs nobody's leave on most machines. Both take direct I/O.
"""

import errno
import os
import shutil
import subprocess
from pathlib import Path

MIB = 1 << 20
# What was mounted, for the summary at the end of a session.
USED = set()


class CannotMount(Exception):
    """Neither kind works on this machine; the text says why."""


class SmallDisk:
    """`directory` is where this process finds the files. A program that is to see them under
    `inner_directory` is started with `prefix` before its command."""

    def __init__(self, kind, directory, inner_directory, prefix, unmount):
        self.kind = kind
        self.directory, self.inner_directory = Path(directory), Path(inner_directory)
        self.prefix = prefix
        self.unmount = unmount
        USED.add(kind)

    @property
    def free_bytes(self):
        status = os.statvfs(self.directory)
        return status.f_bavail * status.f_frsize

    @property
    def _filler(self):
        return self.directory / "filler"

    def fill(self):
        """Leaves not a single block."""
        descriptor = os.open(self._filler, os.O_CREAT | os.O_WRONLY)
        try:
            size = os.fstat(descriptor).st_size
            piece = 64 * MIB
            while piece >= 1024:
                try:
                    os.posix_fallocate(descriptor, size, piece)
                    size += piece
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    piece //= 2
                    size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def remove_filler(self):
        self._filler.unlink()


def mount(directory, size_bytes):
    """Mounts below `directory`."""
    reasons = []
    for way in (_ext4_on_a_loop_device, _tmpfs_in_a_user_namespace):
        try:
            return way(Path(directory), size_bytes)
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            reasons.append(f"{way.__name__.strip('_')}: {said.strip()}")
    raise CannotMount("; ".join(reasons))


def _run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)


def _ext4_on_a_loop_device(directory, size_bytes):
    image, place = directory / "disk.img", directory / "disk"
    place.mkdir()
    try:
        with open(image, "wb") as file:
            file.truncate(size_bytes)
        # Without blocks kept back for root: full is full for everyone.
        _run(shutil.which("mkfs.ext4") or "/sbin/mkfs.ext4", "-q", "-F", "-m", "0", str(image))
        _run("mount", "-o", "loop", str(image), str(place))
    except BaseException:
        image.unlink(missing_ok=True)
        place.rmdir()
        raise

    def unmount():
        _run("umount", str(place))
        image.unlink()

    return SmallDisk("ext4 on a loop device", place, place, [], unmount)


def _tmpfs_in_a_user_namespace(directory, size_bytes):
    place = directory / "disk"
    place.mkdir()
    # The namespace, and with it the disk, lives as long as this process waits for its input.
    script = 'mount -t tmpfs -o size="$1" tmpfs "$2" && echo mounted && exec cat'
    command = ["unshare", "-rm", "--propagation=private", "sh", "-c", script, "sh", str(size_bytes), str(place)]
    pipe = subprocess.PIPE
    keeper = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    if keeper.stdout.readline() != "mounted\n":
        _, said = keeper.communicate(timeout=10)
        place.rmdir()
        raise OSError(said or "unshare failed")

    def unmount():
        keeper.communicate(timeout=10)

    return SmallDisk(
        "tmpfs in a user namespace",
        f"/proc/{keeper.pid}/root{place}",
        place,
        ["nsenter", f"--target={keeper.pid}", "--user", "--mount", "--preserve-credentials"],
        unmount,
    )
