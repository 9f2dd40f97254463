"""What a step's sum costs on hosts behind a limited link, beside the model of docs/tutorials/distributed.md, as a table.

sudo python benches/python/link.py [--hosts 2 4] [--rate 100 | --delay 2] [--page FILE]

Each host is a network namespace of its own, and has one rank. With `--rate` all are ports of one bridge, and `tc` gives
each port a rate in Mbit/s, in both directions. With `--delay` this script hands each frame on to its host so many
milliseconds later, as kernels without netem cannot do it by themselves. `--page` fills the table of a page.
"""

import argparse
import fcntl
import json
import os
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

import report

# Of gradients in bytes, with a limited rate and with a delay.
SIZES = {"rate": (10_000, 100_000, 1_000_000, 4_000_000), "delay": (1_000, 10_000, 50_000)}
SWITCH = "oxiflux-switch"


def name(i):
    return f"oxiflux-host{i}"


def ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True)


def limit(space, device, rate):
    words = f"tc qdisc add dev {device} root tbf rate {rate}mbit burst 16kb limit 16mb".split()
    subprocess.run(["ip", "netns", "exec", space, *words], check=True)


class Relay(threading.Thread):
    """Hands frames from host to host, each after a delay."""

    def __init__(self, delay):
        super().__init__(daemon=True)
        self.delay, self.hosts, self.ends = delay, [], False

    def add(self, space):
        """A device of that host, whose other end is here."""
        end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        device = f"oxiflux{len(self.hosts)}".encode()
        tap, without_header, set_device = 0x0002, 0x1000, 0x400454CA
        fcntl.ioctl(end, set_device, struct.pack("16sH22x", device, tap | without_header))
        self.hosts.append(end)
        ip("link", "set", device.decode(), "netns", space, "name", "eth")

    def run(self):
        """Waits for frames and for the times at which they are due."""
        under_way, places = deque(), {}
        while not self.ends:
            wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else 0.1
            for end in select.select(self.hosts, [], [], wait)[0]:
                frame = os.read(end, 65536)
                places[frame[6:12]] = end
                others = [place for place in self.hosts if place != end]
                to = [places[frame[:6]]] if frame[:6] in places else others
                under_way.append((time.monotonic() + self.delay, to, frame))
            while under_way and under_way[0][0] <= time.monotonic():
                _, to, frame = under_way.popleft()
                for end in to:
                    os.write(end, frame)

    def end(self):
        self.ends = True
        self.join()
        for end in self.hosts:
            os.close(end)


def relayed(hosts, delay):
    """The hosts, and what is between them."""
    relay = Relay(delay)
    for i in range(1, hosts + 1):
        ip("netns", "add", name(i))
        relay.add(name(i))
        ip("-n", name(i), "addr", "add", f"10.77.0.{i}/24", "dev", "eth")
        ip("-n", name(i), "link", "set", "lo", "up")
        ip("-n", name(i), "link", "set", "eth", "up")
    relay.start()
    return relay


def build(hosts, rate):
    """The bridge and the hosts at its ports."""
    ip("netns", "add", SWITCH)
    ip("-n", SWITCH, "link", "add", "bridge", "type", "bridge")
    ip("-n", SWITCH, "link", "set", "bridge", "up")
    for i in range(1, hosts + 1):
        ip("netns", "add", name(i))
        ip("-n", SWITCH, "link", "add", f"port{i}", "type", "veth", "peer", "name", "eth", "netns", name(i))
        ip("-n", SWITCH, "link", "set", f"port{i}", "master", "bridge", "up")
        ip("-n", name(i), "addr", "add", f"10.77.0.{i}/24", "dev", "eth")
        ip("-n", name(i), "link", "set", "lo", "up")
        ip("-n", name(i), "link", "set", "eth", "up")
        limit(name(i), "eth", rate)
        limit(SWITCH, f"port{i}", rate)


def remove(hosts):
    for space in [SWITCH, *map(name, range(1, hosts + 1))]:
        subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


def work(sizes):
    """Measures on this rank: a message, and the sums."""
    import numpy as np

    from oxiflux import distributed
    from oxiflux.distributed.summing import Summed

    world = distributed.initialize()
    comm = world.comm

    def timed(f, times):
        found = []
        for _ in range(times):
            world.meet("a start")
            start = time.perf_counter()
            f()
            found.append(time.perf_counter() - start)
        return statistics.median(found)

    def there_and_back(size):
        memory = np.zeros(size, np.uint8)
        if world.rank == 0:
            comm.Send(memory, 1)
            comm.Recv(memory, 1)
        elif world.rank == 1:
            comm.Recv(memory, 0)
            comm.Send(memory, 0)

    short, long = timed(lambda: there_and_back(8), 50) / 2, timed(lambda: there_and_back(4_000_000), 3) / 2
    sums = {}
    for size in map(int, sizes):
        both = Summed(world, size // 4, np.float32)
        sums[size] = timed(lambda both=both: both.run("a sum"), 3 if size > 500_000 else 25)
    if world.rank == 0:
        assert world.node.size == 1
        print("found", json.dumps([short, 4_000_000 / (long - short), sums]), flush=True)


def measured(hosts, folder, sizes):
    """What the ranks of so many hosts find."""
    launcher = Path(folder) / "launcher"
    launcher.write_text(
        '#!/bin/sh\nwhile case "$1" in -*) ;; *) false ;; esac; do shift; done\nhost=$1; shift\n'
        'exec ip netns exec "oxiflux-host${host##*.}" unshare --uts sh -c "hostname $host; $*"\n'
    )
    launcher.chmod(0o755)
    addresses = ",".join(f"10.77.0.{i}" for i in range(1, hosts + 1))
    command = [Path(sys.executable).parent / "mpiexec", "-launcher", "ssh", "-launcher-exec", launcher]
    command += ["-hosts", addresses, "-n", hosts, sys.executable, __file__, "--worker", *map(str, sizes)]
    # All have the memory of one machine, of which MPI is to make no use.
    environment = os.environ | {"OXIFLUX_NUM_THREADS": "1", "MPIR_CVAR_NOLOCAL": "1", "UCX_TLS": "tcp,self"}
    done = subprocess.run(
        ["ip", "netns", "exec", name(1), *map(str, command)],
        capture_output=True, text=True, timeout=300, check=False, env=environment,
    )  # fmt: skip
    if "found" not in done.stdout:
        raise SystemExit(done.stdout + done.stderr)
    return json.loads(done.stdout.split("found")[1])


def model(ranks, size, latency, bandwidth):
    """The seconds of a sum: a meeting, and the parts to and fro."""
    rounds = (ranks - 1).bit_length()
    return 3 * rounds * latency + 2 * size * (ranks - 1) / ranks / bandwidth


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hosts", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--rate", type=float, default=100, help="of a link, in Mbit/s")
    parser.add_argument("--delay", type=float, help="of a frame, in milliseconds")
    parser.add_argument("--page", type=Path, help="a page of the documentation to write the table into")
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    kind, rows = "delay" if options.delay else "rate", []
    for hosts in options.hosts:
        remove(hosts)
        relay = None
        try:
            if options.delay:
                relay = relayed(hosts, options.delay / 1e3)
            else:
                build(hosts, options.rate)
            with tempfile.TemporaryDirectory() as folder:
                latency, bandwidth, sums = measured(hosts, folder, SIZES[kind])
        finally:
            if relay is not None:
                relay.end()
            remove(hosts)
        for size, seconds in sums.items():
            expected = model(hosts, int(size), latency, bandwidth)
            row = [
                str(hosts),
                f"{1e3 * latency:.2f} ms",
                f"{bandwidth / 1e6:.1f} MB/s",
                f"{int(size) // 1000:,} KB",
            ]
            rows.append([*row, f"{1e3 * seconds:.1f} ms", f"{1e3 * expected:.1f} ms"])
            print(*rows[-1], sep=" | ", flush=True)
    if options.page:
        table = report.table(["ranks", "latency", "bandwidth", "gradients", "measured", "model"], rows)
        report.fill(options.page, kind, table)


if __name__ == "__main__":
    main()
