// Small integers times residues: dst item o = sum over i of w[o][i] src item i, for every coefficient of every row.
//
// grid: (N / COLUMNS, rows, polynomials x groups of OUTPUTS outputs), COLUMNS threads. A thread holds the sums of OUTPUTS outputs at its
// coefficient; weights of a slice of inputs lie in shared memory. |w| <= 2^15 and x < 2^30: a 64-bit sum holds 2^17 products.
#include "common.cuh"

#define COLUMNS 128
#define OUTPUTS 16
#define SLICE 32
#define PRODUCTS (1u << 17)

KERNEL __launch_bounds__(COLUMNS)
gemm_rows(const Shape shape, const Rows dst, const Rows src, const i16 *__restrict__ weights, const u32 outputs,
          const u32 inputs, const Prime *__restrict__ primes) {
  __shared__ i32 w[SLICE][OUTPUTS];
  const u32 z = blockIdx.z + shape.first, poly = z % shape.polys, first = z / shape.polys * OUTPUTS;
  const u32 row = blockIdx.y, x = blockIdx.x * COLUMNS + threadIdx.x;
  const bool inside = !(x >> shape.log_n);
  const Prime m = primes[shape.prime[row]];
  i64 sums[OUTPUTS] = {};
  for (u32 begin = 0; begin < inputs; begin += SLICE) {
    __syncthreads();
    for (u32 k = threadIdx.x; k < SLICE * OUTPUTS; k += COLUMNS) {
      const u32 i = begin + k / OUTPUTS, o = first + k % OUTPUTS;
      w[k / OUTPUTS][k % OUTPUTS] = i < inputs && o < outputs ? weights[(u64)o * inputs + i] : 0;
    }
    __syncthreads();
    if (begin && begin % (PRODUCTS - SLICE) == 0) {
#pragma unroll
      for (int o = 0; o < OUTPUTS; o++) sums[o] = sums[o] < 0 ? -(i64)reduce((u64)-sums[o], m) : (i64)reduce((u64)sums[o], m);
    }
    const u32 count = min(SLICE, inputs - begin);
    for (u32 i = 0; i < count; i++) {
      const i64 v = inside ? row_of(src, shape, begin + i, poly, row)[x] : 0;
#pragma unroll
      for (int o = 0; o < OUTPUTS; o++) sums[o] += v * w[i][o];
    }
  }
#pragma unroll
  for (int o = 0; o < OUTPUTS; o++) {
    if (inside && first + o < outputs) {
      const u32 r = reduce((u64)(sums[o] < 0 ? -sums[o] : sums[o]), m);
      row_of(dst, shape, first + o, poly, row)[x] = sums[o] < 0 ? sub_mod(0, r, m.p) : r;
    }
  }
}
