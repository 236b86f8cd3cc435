#!/usr/bin/env python3
"""Known answers for the numerical contract, from unbounded integers and the standard library alone.

Nothing here shares code with the crate; every answer follows the definition, not an algorithm of the engine.
Run `python3 tests/vectors/generate.py` from the root of the repository: it writes the same bytes every time.
"""

import json
import pathlib
import struct
from decimal import Decimal, getcontext
from fractions import Fraction

HERE = pathlib.Path(__file__).resolve().parent
getcontext().prec = 90


# ---------------------------------------------------------------- primes, roots, reproducible numbers


def is_prime(n):
    if n < 2:
        return False
    d = 2
    while d * d <= n:
        if n % d == 0:
            return False
        d += 1
    return True


def primes(log_n, high, count):
    """The largest primes 1 mod 2N below `high`."""
    step = 2 << log_n
    p = (high - 2) // step * step + 1
    found = []
    while len(found) < count and p > 2:
        if is_prime(p):
            found.append(p)
        p -= step
    return found


def smallest_root(p, log_n):
    """The smallest r with r^N = -1 mod p: every odd power of one of them, compared."""
    n = 1 << log_n
    root = next(r for r in (pow(g, (p - 1) // (2 * n), p) for g in range(2, p)) if pow(r, n, p) == p - 1)
    least, power = root, root
    for _ in range(n - 1):
        power = power * root * root % p
        least = min(least, power)
    assert pow(least, n, p) == p - 1
    return least


class Numbers:
    """A linear congruential generator: enough to choose examples."""

    def __init__(self, seed):
        self.state = seed

    def bits(self, count):
        value = 0
        for _ in range(0, count, 32):
            self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
            value = value << 32 | self.state >> 32
        return value % 2**count

    def below(self, n):
        return self.bits(n.bit_length() + 64) % n


def bitrev(i, bits):
    return int(format(i, f"0{bits}b")[::-1], 2) if bits else 0


# ---------------------------------------------------------------- transforms and automorphisms


def sample_row(p, n):
    """f_k = ((k + 1)^5 7919 + 13) mod p, as the test computes it."""
    return [((k + 1) ** 5 * 7919 + 13) % p for k in range(n)]


def ntt_by_definition(f, p, psi):
    n = len(f)
    bits = n.bit_length() - 1
    out = [0] * n
    for i in range(n):
        x = pow(psi, 2 * i + 1, p)
        value = 0
        for c in reversed(f):
            value = (value * x + c) % p
        out[bitrev(i, bits)] = value
    return out


def values_at(f, first, ratio, p):
    n = len(f)
    if n == 1:
        return f
    even = values_at(f[0::2], first * first % p, ratio * ratio % p, p)
    odd = values_at(f[1::2], first * first % p, ratio * ratio % p, p)
    out, x = [], first
    for i in range(n):
        out.append((even[i % (n // 2)] + x * odd[i % (n // 2)]) % p)
        x = x * ratio % p
    return out


def ntt(f, p, psi):
    natural = values_at(f, psi, psi * psi % p, p)
    bits = len(f).bit_length() - 1
    return [natural[bitrev(j, bits)] for j in range(len(f))]


def fnv(words):
    """FNV-1a of the little-endian bytes, 64 bits."""
    h = 0xCBF29CE484222325
    for word in words:
        for byte in struct.pack("<I", word):
            h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


def automorphism(f, g, p):
    n = len(f)
    out = [0] * n
    for k, c in enumerate(f):
        at = g * k % (2 * n)
        out[at % n] = c if at < n else (p - c) % p
    return out


def roots_and_ntt():
    roots, transforms = [], []
    for log_n in range(1, 18):
        for p in primes(log_n, 2**30, 2) + primes(log_n, 2**24, 1):
            roots.append({"log_n": log_n, "p": p, "psi": smallest_root(p, log_n)})
    for log_n in (1, 2, 3, 4, 5, 12, 13):
        for p in primes(log_n, 2**30, 1) + primes(log_n, 2**21, 1):
            psi = smallest_root(p, log_n)
            f = sample_row(p, 1 << log_n)
            if log_n < 12:
                out = ntt_by_definition(f, p, psi)
                assert out == ntt(f, p, psi)
                case = {"values": out}
            else:
                out = ntt(f, p, psi)
                for i in (0, 1, 1234):
                    x = pow(psi, 2 * i + 1, p)
                    assert out[bitrev(i, log_n)] == sum(c * pow(x, k, p) for k, c in enumerate(f)) % p
                case = {"fnv": str(fnv(out)), "first": out[:4], "last": out[-4:]}
            transforms.append({"log_n": log_n, "p": p, **case})
    return {"roots": roots, "transforms": transforms}


def galois():
    cases = []
    for log_n in (2, 3, 5):
        n = 1 << log_n
        p = primes(log_n, 2**30, 1)[0]
        psi = smallest_root(p, log_n)
        f = sample_row(p, n)
        elements = [(k, pow(5, k % (n // 2), 2 * n)) for k in (1, 2, 3, -1, n // 2)] + [(None, 2 * n - 1), (None, 3)]
        for k, g in elements:
            # Position j holds the value at psi^(2 bitrev(j) + 1); the image has the value at that point to the g there.
            table = [bitrev(g * (2 * bitrev(j, log_n) + 1) % (2 * n) >> 1, log_n) for j in range(n)]
            moved = ntt_by_definition(automorphism(f, g, p), p, psi)
            source = ntt_by_definition(f, p, psi)
            assert moved == [source[j] for j in table]
            cases.append({"log_n": log_n, "p": p, "rotation": k, "g": g, "table": table, "values": moved})
    return cases


# ---------------------------------------------------------------- conversions and steps


def product(list_):
    q = 1
    for p in list_:
        q *= p
    return q


def lift(residues, sources, a):
    """sum y_i (Q/q_i) - v Q with y_i = [x_i a (Q/q_i)^-1] and v = (sum y_i floor(2^64/q_i) + 2^63) >> 64."""
    big = product(sources)
    y = [x * a * pow(big // q, -1, q) % q for x, q in zip(residues, sources)]
    v = (sum(yi * (2**64 // q) for yi, q in zip(y, sources)) + 2**63) >> 64
    value = sum(yi * (big // q) for yi, q in zip(y, sources)) - v * big
    assert abs(value) * 2**28 <= big * (2**27 + 1)
    return value


def conversions():
    log_n, cases = 4, []
    table = primes(log_n, 2**30, 10) + primes(log_n, 2**22, 2) + [97, 193]
    numbers = Numbers(1)
    for sources, targets in [
        ([0], [1, 2, 12]),
        ([12], [13, 0]),
        ([3, 1], [0, 2, 13]),
        ([0, 10, 11], [5]),
        ([9, 8, 7, 6], [0, 1, 12, 11]),
        ([2, 13, 4, 1, 0], [3, 5, 6]),
    ]:
        q = [table[i] for i in sources]
        big = product(q)
        half = big // 2
        near = [half + d for d in (-1, 0, 1, 2)]
        # Inside of the zone where v need not be the nearest integer, and at its edges.
        wide = [half + s * (big >> 64) for s in (-1, 1)] + [half + s * (big >> 36) for s in (-1, 1)]
        x = [0, 1, big - 1, near[0], near[1], near[2], near[3], *wide]
        x += [numbers.below(big) for _ in range(16 - len(x))]
        for a, b in [(1, 1), (numbers.below(2**61), numbers.below(2**61))]:
            lifts = [lift([xk % qi for qi in q], q, a) for xk in x]
            if a == 1:
                assert all((value - xk) % big == 0 for value, xk in zip(lifts, x))
            cases.append(
                {
                    "sources": sources,
                    "targets": targets,
                    "before": str(a),
                    "after": str(b),
                    "input": [[xk % qi for xk in x] for qi in q],
                    "output": [[value * b % table[r] for value in lifts] for r in targets],
                    "lifts": [str(value) for value in lifts],
                }
            )
    return {"log_n": log_n, "primes": table, "cases": cases}


def steps():
    """round(x prod(A) / prod(R)) from exact fractions, for x away from ties."""
    log_n, cases = 4, []
    table = primes(log_n, 2**30, 9) + primes(log_n, 2**23, 3)
    numbers = Numbers(2)
    for name, old, new in [
        ("drop one", [0, 1, 2], [0, 1]),
        ("drop two", [0, 1, 2, 3], [0, 1]),
        ("drop the first", [0, 1, 2], [1, 2]),
        ("divide by the special primes", [0, 1, 2, 7, 8], [0, 1, 2]),
        ("special primes and one more", [0, 1, 2, 7, 8], [0, 1]),
        ("one comes for one", [0, 1, 9], [0, 1, 10]),
        ("two come for two", [0, 1, 2, 9], [0, 1, 3, 10]),
        ("special primes, one goes and one comes", [0, 1, 2, 7, 8], [0, 1, 10]),
        ("one comes", [0, 1], [0, 1, 2]),
    ]:
        removed = product(table[i] for i in old if i not in new)
        added = product(table[i] for i in new if i not in old)
        big = product(table[i] for i in old)
        x = [0, 1, -1]
        while len(x) < 16:
            candidate = numbers.below(big) - big // 2
            rest = Fraction(candidate * added, removed) % 1
            if abs(rest - Fraction(1, 2)) > Fraction(1, 2**20):
                x.append(candidate)
        rounded = []
        for xk in x:
            value = (2 * xk * added + removed) // (2 * removed)
            gone = [table[i] for i in old if i not in new]
            if gone:
                c = lift([xk % q for q in gone], gone, added)
                assert (xk * added - c) % removed == 0 and (xk * added - c) // removed == value
            rounded.append(value)
        cases.append(
            {
                "name": name,
                "from": old,
                "to": new,
                "input": [[xk % table[i] for xk in x] for i in old],
                "output": [[value % table[i] for value in rounded] for i in new],
            }
        )
    return {"log_n": log_n, "primes": table, "cases": cases}


# ---------------------------------------------------------------- uniform rows


def chacha20_block(key, counter, stream):
    mask = 2**32 - 1
    start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *struct.unpack("<8I", key)]
    start += [counter & mask, counter >> 32, stream & mask, stream >> 32]
    x = list(start)

    def turn(value, by):
        return (value << by | value >> (32 - by)) & mask

    def quarter(a, b, c, d):
        x[a] = (x[a] + x[b]) & mask
        x[d] = turn(x[d] ^ x[a], 16)
        x[c] = (x[c] + x[d]) & mask
        x[b] = turn(x[b] ^ x[c], 12)
        x[a] = (x[a] + x[b]) & mask
        x[d] = turn(x[d] ^ x[a], 8)
        x[c] = (x[c] + x[d]) & mask
        x[b] = turn(x[b] ^ x[c], 7)

    for _ in range(10):
        quarter(0, 4, 8, 12)
        quarter(1, 5, 9, 13)
        quarter(2, 6, 10, 14)
        quarter(3, 7, 11, 15)
        quarter(0, 5, 10, 15)
        quarter(1, 6, 11, 12)
        quarter(2, 7, 8, 13)
        quarter(3, 4, 9, 14)
    return struct.pack("<16I", *((a + b) & mask for a, b in zip(x, start)))


# RFC 8439 2.3.2.
assert chacha20_block(bytes(range(32)), 0x0900000000000001, 0x4A000000)[:8].hex() == "10f1e7e4d13b5915"


def uniform():
    log_n = 4
    table = primes(log_n, 2**30, 4) + [97, 193]
    cases = []
    for seed, label in [
        (bytes(range(32)), 0),
        (bytes(255 - 3 * i for i in range(32)), 7),
        (bytes([0xFF] * 32), 2**32 - 1),
        (bytes(7 * i % 256 for i in range(32)), 0x0123456789ABCDEF),
    ]:
        # Two polynomials: streams label and label + 1.
        rows = []
        for stream in (label, label + 1):
            for index, p in enumerate(table):
                row = []
                for i in range(1 << log_n):
                    block = chacha20_block(seed, index << 32 | i // 4, stream)
                    lane = block[16 * (i % 4) :][:16]
                    row.append(int.from_bytes(lane, "little") % p)
                rows.append(row)
        cases.append({"seed": list(seed), "label": str(label), "rows": rows})
    return {"log_n": log_n, "primes": table, "cases": cases}


# ---------------------------------------------------------------- the canonical embedding


def series(x, start):
    """Cosine (start 0) or sine (start 1) by Taylor's series."""
    term, k, total = (Decimal(1), 0, Decimal(1)) if start == 0 else (x, 1, x)
    while abs(term) > Decimal(10) ** -88:
        term = -term * x * x / ((k + 1) * (k + 2))
        k += 2
        total += term
    return total


def pi():
    """Machin: pi = 16 arctan(1/5) - 4 arctan(1/239)."""

    def arctan_inverse(m):
        term, k, total = Decimal(1) / m, 1, Decimal(0)
        while abs(term) > Decimal(10) ** -88:
            total += term / k if k % 4 == 1 else -term / k
            term /= m * m
            k += 2
        return total

    return 16 * arctan_inverse(5) - 4 * arctan_inverse(239)


PI = pi()


def embeddings():
    """round(scale m): m[k gap] = Re w_k, m[k gap + N/2] = Im w_k, w = (1/n) conj(U)^T z, U_jk = exp(2 pi i 5^j k / 4n)."""
    log_n, cases = 5, []
    table = primes(log_n, 2**30, 5)
    degree = 1 << log_n
    numbers = Numbers(3)
    for slots in (1, 2, 4, 8, 16):
        for scale_log2 in (20, 38, 45, 55, 60):
            # f64 errs by about 2^-50 of the scale; double-double errs by nothing that shows here.
            margin = Decimal(2) ** (max(scale_log2 - 49, -10) if scale_log2 <= 45 else -10)
            angles = [2 * PI * t / (4 * slots) for t in range(4 * slots)]
            circle = [(series(angle, 0), series(angle, 1)) for angle in angles]
            while True:
                z = [(numbers.below(2049) - 1024, numbers.below(2049) - 1024) for _ in range(slots)]
                scaled = [Decimal(0)] * degree
                gap = degree // (2 * slots)
                for k in range(slots):
                    re = im = Decimal(0)
                    for j, (a, b) in enumerate(z):
                        c, s = circle[pow(5, j, 4 * slots) * k % (4 * slots)]
                        re += a * c + b * s
                        im += b * c - a * s
                    factor = Decimal(2) ** (scale_log2 - 10) / slots
                    scaled[k * gap] = re * factor
                    scaled[k * gap + degree // 2] = im * factor
                away = [abs(abs(x - x.to_integral_value(rounding="ROUND_FLOOR")) - Decimal("0.5")) for x in scaled]
                if min(away) > margin:
                    break
            cases.append(
                {
                    "scale_log2": scale_log2,
                    "slots_times_1024": z,
                    "coefficients": [str(int(x.to_integral_value(rounding="ROUND_HALF_EVEN"))) for x in scaled],
                }
            )
    return {"log_n": log_n, "primes": table, "cases": cases}


def main():
    for name, content in [
        ("transforms", roots_and_ntt()),
        ("galois", galois()),
        ("conversions", conversions()),
        ("steps", steps()),
        ("uniform", uniform()),
        ("embeddings", embeddings()),
    ]:
        text = json.dumps(content, separators=(",", ":"))
        (HERE / f"{name}.json").write_text(text.replace("},{", "},\n{") + "\n")


if __name__ == "__main__":
    main()
