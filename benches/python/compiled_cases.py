"""The same cases once more, each step through `flux.compile`; a plugin that comes after those of oxiflux."""

# ruff: noqa: F821
import oxiflux as flux

SETUP["oxiflux-compiled"] = SETUP["oxiflux"]


def captured(build):
    """What builds a step, then compiles it."""
    return lambda spec: flux.compile(build(spec))


for name, backend in list(IMPLS):
    if backend == "oxiflux":
        impl(name, "oxiflux-compiled")(captured(IMPLS[name, backend][0]))
