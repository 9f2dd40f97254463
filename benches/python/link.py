"""What a step's sum costs on hosts behind a limited link, beside the model of docs/tutorials/distributed.md, as a table.

sudo python benches/python/link.py [--hosts 2 4] [--rate 100]

Each host is a network namespace of its own, and all are ports of one bridge; `tc` gives each port a rate in Mbit/s, in
both directions. A host has one rank.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES = (10_000, 100_000, 1_000_000, 4_000_000)
SWITCH = "oxiflux-switch"


def name(i):
    return f"oxiflux-host{i}"


def ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True)


def limit(space, device, rate):
    words = f"tc qdisc add dev {device} root tbf rate {rate}mbit burst 16kb limit 16mb".split()
    subprocess.run(["ip", "netns", "exec", space, *words], check=True)


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


def work():
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

    short, long = timed(lambda: there_and_back(8), 20) / 2, timed(lambda: there_and_back(4_000_000), 3) / 2
    sums = {}
    for size in SIZES:
        both = Summed(world, size // 4, np.float32)
        sums[size] = timed(lambda both=both: both.run("a sum"), 3 if size > 500_000 else 9)
    if world.rank == 0:
        assert world.node.size == 1
        print("found", json.dumps([short, 4_000_000 / (long - short), sums]), flush=True)


def measured(hosts, folder):
    """What the ranks of so many hosts find."""
    launcher = Path(folder) / "launcher"
    launcher.write_text(
        '#!/bin/sh\nwhile case "$1" in -*) ;; *) false ;; esac; do shift; done\nhost=$1; shift\n'
        'exec ip netns exec "oxiflux-host${host##*.}" unshare --uts sh -c "hostname $host; $*"\n'
    )
    launcher.chmod(0o755)
    addresses = ",".join(f"10.77.0.{i}" for i in range(1, hosts + 1))
    command = [Path(sys.executable).parent / "mpiexec", "-launcher", "ssh", "-launcher-exec", launcher]
    command += ["-hosts", addresses, "-n", hosts, sys.executable, __file__, "--worker"]
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
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work()
        return
    print("| ranks | latency | bandwidth | gradients | measured | model |\n|---|---|---|---|---|---|")
    for hosts in options.hosts:
        remove(hosts)
        try:
            build(hosts, options.rate)
            with tempfile.TemporaryDirectory() as folder:
                latency, bandwidth, sums = measured(hosts, folder)
        finally:
            remove(hosts)
        for size, seconds in sums.items():
            expected = model(hosts, int(size), latency, bandwidth)
            print(
                f"| {hosts} | {1e3 * latency:.2f} ms | {bandwidth / 1e6:.1f} MB/s | {int(size) // 1000:,} KB | "
                f"{1e3 * seconds:.1f} ms | {1e3 * expected:.1f} ms |",
                flush=True,
            )


if __name__ == "__main__":
    main()
