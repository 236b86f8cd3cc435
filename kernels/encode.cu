// Integers and seeds to rows of residues.
#include "common.cuh"

// |x| mod p with the sign of x; `high` and `low` are the two's complement of x.
__device__ __forceinline__ u32 residue(u64 high, u64 low, u64 two_to_64, const Prime &m) {
  const bool negative = high >> 63;
  if (negative) {
    low = ~low + 1;
    high = ~high + (low == 0);
  }
  const u32 r = add_mod(reduce((u64)reduce(high, m) * two_to_64, m), reduce(low, m), m.p);
  return negative ? sub_mod(0, r, m.p) : r;
}

// Integer k of a polynomial to coefficient k N / length, the others zero; or, if there is a `period`, to the coefficients k modulo the
// period. `values` are integers of WIDTH words of 32 bits, `length` a polynomial.
// grid: (N / THREADS, rows, items x polynomials)
template <int WIDTH>
__device__ __forceinline__ void lift(const Shape &shape, const Rows &dst, const u32 *values, u32 length, u32 period,
                                     const Prime *primes) {
  const Cell cell = cell_of(shape);
  const u32 x = blockIdx.x * THREADS + threadIdx.x, n = 1u << shape.log_n;
  if (x >= n) return;
  const Prime m = primes[shape.prime[cell.row]];
  const u32 gap = n / length, at = period ? x & (period - 1) : x / gap;
  u32 y = 0;
  if (period ? at < length : x % gap == 0) {
    const u64 k = (u64)(cell.item * shape.polys + cell.poly) * length + at;
    const u32 *v = values + WIDTH * k;
    u64 low, high;
    if (WIDTH == 1) low = (u64)(i64)(i32)v[0];
    else low = v[0] | (u64)v[WIDTH > 1 ? 1 : 0] << 32;
    if (WIDTH == 4) high = v[WIDTH > 2 ? 2 : 0] | (u64)v[WIDTH > 3 ? 3 : 0] << 32;
    else high = (u64)((i64)low >> 63);
    // 2^64 = barrett p + 1 + (what floor((2^64 - 1) / p) leaves)
    y = residue(high, low, 0 - m.barrett * m.p, m);
  }
  row_of(dst, shape, cell)[x] = y;
}

KERNEL lift_32(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, const u32 *__restrict__ values, const u32 length, const u32 period,
               const Prime *__restrict__ primes) {
  lift<1>(shape, dst, values, length, period, primes);
}
KERNEL lift_64(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, const u32 *__restrict__ values, const u32 length, const u32 period,
               const Prime *__restrict__ primes) {
  lift<2>(shape, dst, values, length, period, primes);
}
KERNEL lift_128(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, const u32 *__restrict__ values, const u32 length, const u32 period,
                const Prime *__restrict__ primes) {
  lift<4>(shape, dst, values, length, period, primes);
}

#define QUARTER(a, b, c, d)                  \
  a += b; d ^= a; d = rotate(d, 16);         \
  c += d; b ^= c; b = rotate(b, 12);         \
  a += b; d ^= a; d = rotate(d, 8);          \
  c += d; b ^= c; b = rotate(b, 7);

__device__ __forceinline__ u32 rotate(u32 x, u32 by) { return __funnelshift_l(x, x, by); }

// Uniform rows: coefficient i is the 128-bit lane i mod 4 of the ChaCha20 block (prime << 32) + i / 4 of stream label + polynomial,
// modulo p. `seeds`: 8 words an item. grid: (N / 4 / THREADS, rows, items x polynomials)
KERNEL expand_rows(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, const u32 *__restrict__ seeds, const u64 label,
                   const Prime *__restrict__ primes) {
  const Cell cell = cell_of(shape);
  const u32 block = blockIdx.x * THREADS + threadIdx.x, n = 1u << shape.log_n;
  if (4 * block >= n) return;
  const u64 stream = label + cell.poly;
  const u32 *seed = seeds + 8 * cell.item;
  u32 input[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
#pragma unroll
  for (int i = 0; i < 8; i++) input[4 + i] = seed[i];
  input[12] = block;
  input[13] = shape.prime[cell.row];
  input[14] = (u32)stream;
  input[15] = (u32)(stream >> 32);
  u32 s[16];
#pragma unroll
  for (int i = 0; i < 16; i++) s[i] = input[i];
#pragma unroll 1
  for (int round = 0; round < 10; round++) {
    QUARTER(s[0], s[4], s[8], s[12])
    QUARTER(s[1], s[5], s[9], s[13])
    QUARTER(s[2], s[6], s[10], s[14])
    QUARTER(s[3], s[7], s[11], s[15])
    QUARTER(s[0], s[5], s[10], s[15])
    QUARTER(s[1], s[6], s[11], s[12])
    QUARTER(s[2], s[7], s[8], s[13])
    QUARTER(s[3], s[4], s[9], s[14])
  }
  const Prime m = primes[shape.prime[cell.row]];
  const u64 two_to_64 = 0 - m.barrett * m.p;
  u32 *to = row_of(dst, shape, cell);
#pragma unroll
  for (int lane = 0; lane < 4; lane++) {
    const u64 low = (s[4 * lane] + input[4 * lane]) | (u64)(s[4 * lane + 1] + input[4 * lane + 1]) << 32;
    const u64 high = (s[4 * lane + 2] + input[4 * lane + 2]) | (u64)(s[4 * lane + 3] + input[4 * lane + 3]) << 32;
    const u32 x = 4 * block + lane;
    if (x < n) to[x] = add_mod(reduce((u64)reduce(high, m) * two_to_64, m), reduce(low, m), m.p);
  }
}
