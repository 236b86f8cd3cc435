// Products of matrices of polynomials.
//
// Small integers times residues: dst item o = sum over i of w[o][i] src item i, for every coefficient of every row.
//
// grid: (N / COLUMNS, rows, polynomials x groups of OUTPUTS outputs), COLUMNS threads. A thread holds the sums of OUTPUTS outputs at its
// coefficient; weights of a slice of inputs lie in shared memory. |w| <= 2^15 and x < 2^30: a 64-bit sum holds 2^17 products.
#include "common.cuh"

#define COLUMNS 128
#define OUTPUTS 16
#define SLICE 32
#define SHORT_PRODUCTS (1u << 17)

KERNEL __launch_bounds__(COLUMNS, 8)
gemm_rows(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, BY_VALUE(Rows) src, const i16 *__restrict__ weights, const u32 outputs,
          const u32 inputs, const Prime *__restrict__ primes) {
  __shared__ i32 w[SLICE][OUTPUTS];
  const u32 z = blockIdx.z + shape.first, poly = z % shape.polys, first = z / shape.polys * OUTPUTS;
  const u32 row = blockIdx.y, x = blockIdx.x * COLUMNS + threadIdx.x;
  const bool inside = !(x >> shape.log_n);
  const Prime m = primes[shape.prime[row]];
  // A multiple of p that makes every sum positive: |sum| <= 2^62.
  const u64 zero = (1ull << 62) + m.p - reduce(1ull << 62, m);
  i64 sums[OUTPUTS] = {};
  for (u32 begin = 0; begin < inputs; begin += SLICE) {
    __syncthreads();
    for (u32 k = threadIdx.x; k < SLICE * OUTPUTS; k += COLUMNS) {
      const u32 i = begin + k / OUTPUTS, o = first + k % OUTPUTS;
      w[k / OUTPUTS][k % OUTPUTS] = i < inputs && o < outputs ? weights[(u64)o * inputs + i] : 0;
    }
    __syncthreads();
    if (begin && begin % (SHORT_PRODUCTS - SLICE) == 0) {
#pragma unroll
      for (int o = 0; o < OUTPUTS; o++) sums[o] = reduce((u64)sums[o] + zero, m);
    }
    const u32 count = min(SLICE, inputs - begin);
    // The next word is on its way while this one is multiplied.
    i32 next = inside ? row_of(src, shape, begin, poly, row)[x] : 0;
#pragma unroll 1
    for (u32 i = 0; i < count; i++) {
      const i32 v = next;
      if (inside && i + 1 < count) next = row_of(src, shape, begin + i + 1, poly, row)[x];
#pragma unroll
      for (int o = 0; o < OUTPUTS; o++) sums[o] += (i64)v * w[i][o];
    }
  }
#pragma unroll
  for (int o = 0; o < OUTPUTS; o++) {
    if (inside && first + o < outputs) row_of(dst, shape, first + o, poly, row)[x] = reduce((u64)sums[o] + zero, m);
  }
}

// Rows of a times columns of b, pointwise: dst item r C + c = sum over j < terms of a item r terms + j times b item c terms + j, the
// polynomials of a times the one of b. b is a polynomial in X^gap, gap = 2^log_gap, of which row i holds each of its N / gap evaluations once:
// evaluation x of the ring is x / gap of it, for bit-reversed orders have the low bits of an exponent in front.
//
// grid: (N / COLUMNS, rows, polynomials x tiles), COLUMNS threads. A thread holds a tile of EDGE x EDGE sums at its evaluation, and reads
// 2 EDGE words for EDGE^2 products. Where a tile reaches beyond the edge, the last row or column is read again and not written.
#define EDGE 4

KERNEL __launch_bounds__(COLUMNS, 8)
block_product_rows(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, BY_VALUE(Rows) a, BY_VALUE(Rows) b, const u32 rows, const u32 columns, const u32 terms,
                   const u32 log_gap, const Prime *__restrict__ primes) {
  const u32 z = blockIdx.z + shape.first, poly = z % shape.polys, tile = z / shape.polys;
  const u32 across = (columns + EDGE - 1) / EDGE, r = tile / across * EDGE, c = tile % across * EDGE;
  const u32 row = blockIdx.y, x = blockIdx.x * COLUMNS + threadIdx.x;
  if (x >> shape.log_n) return;
  const Prime m = primes[shape.prime[row]];
  u64 sums[EDGE][EDGE] = {};
  for (u32 j = 0; j < terms; j++) {
    if (j && j % PRODUCTS == 0) {
#pragma unroll
      for (int k = 0; k < EDGE * EDGE; k++) sums[k / EDGE][k % EDGE] = reduce(sums[k / EDGE][k % EDGE], m);
    }
    u32 left[EDGE], right[EDGE];
#pragma unroll
    for (int k = 0; k < EDGE; k++) {
      left[k] = row_of(a, shape, min(r + k, rows - 1) * terms + j, poly, row)[x];
      right[k] = row_of(b, shape.log_n - log_gap, min(c + k, columns - 1) * terms + j, 0, row)[x >> log_gap];
    }
#pragma unroll
    for (int k = 0; k < EDGE * EDGE; k++) sums[k / EDGE][k % EDGE] += (u64)left[k / EDGE] * right[k % EDGE];
  }
#pragma unroll
  for (int k = 0; k < EDGE * EDGE; k++) {
    const u32 i = r + k / EDGE, o = c + k % EDGE;
    if (i < rows && o < columns) row_of(dst, shape, i * columns + o, poly, row)[x] = reduce(sums[k / EDGE][k % EDGE], m);
  }
}
