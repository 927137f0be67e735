"""Ways of one section take turns within every repeat, so that a slow moment of the machine meets them all."""

import time


def timed(function):
    start = time.monotonic()
    function()
    return time.monotonic() - start


def take_turns(ways, runs, before=lambda: None):
    """{name: [seconds, ...]}: each way once unmeasured, then `runs` rounds of all of them; `before` each, untimed."""
    seconds = {name: [] for name in ways}
    for name, way in ways.items():
        before()
        print(f"  warm up: {name}: {timed(way):.2f} s", flush=True)
    for i in range(runs):
        for name, way in ways.items():
            before()
            seconds[name].append(timed(way))
            print(f"  {i + 1}/{runs}: {name}: {seconds[name][-1]:.2f} s", flush=True)
    return seconds
