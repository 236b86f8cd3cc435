"""Times CKKS of TenSEAL (SEAL inside) at N = 2^14, log2 QP = 435, one thread: one JSON object a line.

Needs `pip install tenseal`. Run by `cargo run --release -p peers -- --tenseal PYTHON`, or alone.
"""

import json
import math
import time

import tenseal as ts

LOG_N = 14
SECONDS = 1.0


def least(run):
    """The least microseconds of repeated runs."""
    run()
    best, start = math.inf, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        before = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - before)
    return best * 1e6


def show(op, peer_us, peer="TenSEAL"):
    print(json.dumps({"op": op, "log_n": LOG_N, "peer": peer, "peer_us": peer_us}))


context = ts.context(
    ts.SCHEME_TYPE.CKKS,
    poly_modulus_degree=1 << LOG_N,
    coeff_mod_bit_sizes=[60] + [45] * 7 + [60],
    n_threads=1,
)
context.global_scale = 2.0**45
context.generate_galois_keys()
slots = 1 << (LOG_N - 1)
values = [math.sin(i) for i in range(slots)]
x, y = ts.ckks_vector(context, values), ts.ckks_vector(context, values)
product = (x * y).decrypt()
assert all(abs(p - v * v) < 1e-4 for p, v in zip(product, values)), "the product is not the product"

show("ckks/mul_relin_rescale", least(lambda: x * y))
# No rotation of its own in Python: a sum over all slots is log2 of them rotations and additions.
show("ckks/rotate", least(x.sum) / (LOG_N - 1), "TenSEAL, sum / 13")
show("ckks/encrypt", least(lambda: ts.ckks_vector(context, values)))
show("ckks/decrypt_decode", least(x.decrypt))
