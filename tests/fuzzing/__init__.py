"""A fuzzer of the public surface: `values` has what calls are given, `calls` draws calls, `worker` makes them."""
