// Sums of products with polynomials of 32-bit integers, which are expanded to residues where they are used: the outer pass of their
// transforms takes the integers, the inner pass multiplies what it has in registers. grid: (tiles of a row, rows, terms or items), 256 threads.
#include "factors.cuh"
#include "ntt.cuh"

// `values`: N integers a polynomial, one after the other.
template <int S>
__device__ __forceinline__ void light_outer(const Shape &shape, const Rows &dst, const u32 *values, const Prime *primes,
                                            const u32 *twiddles) {
  __shared__ u32 tile[TILE_WORDS(Outer)];
  const Cell cell = cell_of(shape);
  const u32 prime = shape.prime[cell.row];
  const Prime m = primes[prime];
  Place at = {twiddles + ((u64)prime << shape.log_n), tile, shape.log_n, threadIdx.x, blockIdx.x};
  u32 held[Outer::HELD];
  from_global<Outer, S, 0, FIRST(Outer, S), true>(held, values + ((u64)cell.item << shape.log_n), at);
  // 2^64 = barrett p + 1 + (what floor((2^64 - 1) / p) leaves). x = 2^32 x / 2^32 (Montgomery) of a signed product: between p / 2 and 5p / 2.
  const u32 two_to_32 = montgomery(0 - m.barrett * m.p, m.p, m.inverse);
#pragma unroll
  for (int i = 0; i < Outer::HELD; i++) {
    const i64 x = (i64)(i32)held[i] * (i64)two_to_32;
    held[i] = (u32)((u64)x >> 32) - __umulhi((u32)x * m.inverse, m.p) + 2 * m.p;
  }
  pass_down<Outer, S, 0, true>(held, at, m);
  // Where words go is found anew: that of sixteen words is not to be kept in registers meanwhile.
  asm volatile("" : "+r"(at.thread));
  to_global<Outer, S, LAST_ROUND(Outer, S), true>(held, row_of(dst, shape, cell), at);
}

#define LIGHT_OUTER(S)                                                                                                       \
  KERNEL __launch_bounds__(THREADS, 4)                                                                                       \
  light_outer_##S(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, const u32 *__restrict__ values, const Prime *__restrict__ primes,   \
                  const u32 *__restrict__ twiddles) {                                                                          \
    light_outer<S>(shape, dst, values, primes, twiddles);                                                                     \
  }
LIGHT_OUTER(3)
LIGHT_OUTER(4)
LIGHT_OUTER(5)
LIGHT_OUTER(6)
LIGHT_OUTER(7)
LIGHT_OUTER(8)

// dst = sum over terms of the factor times the polynomial whose outer pass is done, both polynomials of an item of dst in one thread.
// `shape` is that of dst, `from` has an item for each term.
KERNEL __launch_bounds__(THREADS, 4)
light_inner(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, BY_VALUE(Rows) from, const Factor *__restrict__ factors, const u32 terms,
            const Prime *__restrict__ primes, const u32 *__restrict__ twiddles) {
  __shared__ u32 tile[TILE_WORDS(Inner)];
  const u32 item = blockIdx.z + shape.first, row = blockIdx.y, prime = shape.prime[row];
  const Prime m = primes[prime];
  const Place place = {twiddles + ((u64)prime << shape.log_n), tile, shape.log_n, threadIdx.x, blockIdx.x};
  const u32 *at = positions_of(factors, terms);
  const u32 first = (blockIdx.x << Inner::LOG_TILE) + 8 * threadIdx.x;
  u64 sums[2][8] = {};
  for (u32 term = 0; term < terms; term++) {
    if (term && term % PRODUCTS == 0) {
#pragma unroll
      for (int j = 0; j < 2; j++) {
#pragma unroll
        for (int i = 0; i < 8; i++) sums[j][i] = reduce(sums[j][i], m);
      }
    }
    u32 held[8], other[8];
    inner_down(held, row_of(from, shape, term, 0, row), place, m);
#pragma unroll
    for (int j = 0; j < 2; j++) {
      if (j < (int)shape.polys) {
        load_eight(other, row_of(factors, at, term, shape, item, j, row) + first);
#pragma unroll
        for (int i = 0; i < 8; i++) sums[j][i] += (u64)other[i] * held[i];
      }
    }
    // Words of the last exchange may still be read.
    __syncthreads();
  }
#pragma unroll
  for (int j = 0; j < 2; j++) {
    if (j < (int)shape.polys) {
      u32 reduced[8];
#pragma unroll
      for (int i = 0; i < 8; i++) reduced[i] = reduce(sums[j][i], m);
      store_eight(reduced, row_of(dst, shape, item, j, row) + first);
    }
  }
}
