// Base conversion. grid: (N / COEFFICIENTS, groups of TARGETS_A_BLOCK targets, items x polynomials), COEFFICIENTS threads.
//
// y_i = x_i f_i mod q_i;  v = (sum y_i fraction_i + 2^63) >> 64;  result_r = sum y_i w_ri + v o_r mod r.
// The scaled sources of a block stay in shared memory; each thread takes one coefficient and four targets at a time.
#include "common.cuh"

#define COEFFICIENTS 128
#define TARGETS_A_BLOCK 16
#define TARGETS_A_PASS 4

// Constants of a conversion: `sources` of each of the first two, `targets` x (sources + 1) weights.
struct Conversion {
  // 2^32 f_i mod q_i.
  const u32 *factors;
  // floor(2^64 / q_i).
  const u64 *fractions;
  // 2^32 w_ri mod r, then 2^32 o_r mod r.
  const u32 *weights;
  u32 sources;
  u32 targets;
};

// `shape` holds the primes of the targets, `from` those of the sources.
KERNEL __launch_bounds__(COEFFICIENTS)
convert_rows(const Shape shape, const Shape from, const Rows dst, const Rows src, const Conversion c,
             const Prime *__restrict__ primes) {
#ifdef CUDA_EMU
  u32 *scaled = (u32 *)emu::dynamic_shared;
#else
  extern __shared__ u32 scaled[];
#endif
  const u32 z = blockIdx.z + shape.first, item = z / shape.polys, poly = z % shape.polys;
  const u32 x = blockIdx.x * COEFFICIENTS + threadIdx.x;
  if (x >> shape.log_n) return;
  u64 low = 1ull << 63, high = 0;
  for (u32 i = 0; i < c.sources; i++) {
    const Prime q = primes[from.prime[i]];
    const u32 y = mul_fixed(row_of(src, from, item, poly, i)[x], c.factors[i], q.p, q.inverse);
    scaled[i * COEFFICIENTS + threadIdx.x] = y;
    const u64 fraction = c.fractions[i], product = y * fraction;
    low += product;
    high += __umul64hi(y, fraction) + (low < product);
  }
  const u32 begin = blockIdx.y * TARGETS_A_BLOCK, end = min(begin + TARGETS_A_BLOCK, c.targets), terms = c.sources + 1;
  for (u32 target = begin; target < end; target += TARGETS_A_PASS) {
    u64 sums[TARGETS_A_PASS];
    const u32 *weights[TARGETS_A_PASS];
#pragma unroll
    for (int t = 0; t < TARGETS_A_PASS; t++) {
      weights[t] = c.weights + min(target + t, end - 1) * terms;
      sums[t] = high * weights[t][c.sources];
    }
    for (u32 i = 0; i < c.sources; i++) {
      if (i && i % (TERMS - 2) == 0) {
#pragma unroll
        for (int t = 0; t < TARGETS_A_PASS; t++) sums[t] = reduce(sums[t], primes[shape.prime[min(target + t, end - 1)]]);
      }
      const u64 y = scaled[i * COEFFICIENTS + threadIdx.x];
#pragma unroll
      for (int t = 0; t < TARGETS_A_PASS; t++) sums[t] += y * weights[t][i];
    }
#pragma unroll
    for (int t = 0; t < TARGETS_A_PASS; t++) {
      if (target + t < end) {
        const Prime r = primes[shape.prime[target + t]];
        row_of(dst, shape, item, poly, target + t)[x] = montgomery(sums[t], r.p, r.inverse);
      }
    }
  }
}
