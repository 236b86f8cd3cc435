// Sums over many terms, each read once and the sum written once. grid: (words / (THREADS PER_THREAD), rows, items x polynomials), items
// alone where a thread sums both polynomials.
#include "factors.cuh"

// dst = sum over terms of a b, plus what dst has if `onto`; factors 2 k and 2 k + 1 are a and b of term k. With two polynomials a thread
// sums both, and b is read once: it is the same for both.
template <int POLYS>
__device__ __forceinline__ void mul_accumulate(const Shape &shape, const Rows &dst, const Factor *factors, u32 terms, u32 onto,
                                               const Prime *primes) {
  const u32 z = blockIdx.z + shape.first, row = blockIdx.y, n = 1u << shape.log_n;
  const u32 item = POLYS == 1 ? z / shape.polys : z, first = POLYS == 1 ? z % shape.polys : 0;
  const u32 start = blockIdx.x * THREADS * PER_THREAD + threadIdx.x;
  const Prime m = primes[shape.prime[row]];
  const u32 *at = positions_of(factors, 2 * terms);
  u64 sums[POLYS][PER_THREAD];
#pragma unroll
  for (int j = 0; j < POLYS; j++) {
    const u32 *to = row_of(dst, shape, item, first + j, row);
#pragma unroll
    for (int i = 0; i < PER_THREAD; i++) {
      const u32 x = start + i * THREADS;
      sums[j][i] = onto && x < n ? to[x] : 0;
    }
  }
  for (u32 term = 0; term < terms; term++) {
    if (term && term % PRODUCTS == 0) {
#pragma unroll
      for (int j = 0; j < POLYS; j++) {
#pragma unroll
        for (int i = 0; i < PER_THREAD; i++) sums[j][i] = reduce(sums[j][i], m);
      }
    }
    const u32 *b = row_of(factors, at, 2 * term + 1, shape, item, first, row);
    u32 right[PER_THREAD];
#pragma unroll
    for (int i = 0; i < PER_THREAD; i++) {
      const u32 x = start + i * THREADS;
      right[i] = x < n ? b[x] : 0;
    }
#pragma unroll
    for (int j = 0; j < POLYS; j++) {
      const u32 *a = row_of(factors, at, 2 * term, shape, item, first + j, row);
#pragma unroll
      for (int i = 0; i < PER_THREAD; i++) {
        const u32 x = start + i * THREADS;
        if (x < n) sums[j][i] += (u64)a[x] * right[i];
      }
    }
  }
#pragma unroll
  for (int j = 0; j < POLYS; j++) {
    u32 *to = row_of(dst, shape, item, first + j, row);
#pragma unroll
    for (int i = 0; i < PER_THREAD; i++) {
      const u32 x = start + i * THREADS;
      if (x < n) to[x] = reduce(sums[j][i], m);
    }
  }
}

KERNEL __launch_bounds__(THREADS)
mul_accumulate_rows(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, const Factor *__restrict__ factors, const u32 terms, const u32 onto,
                    const Prime *__restrict__ primes) {
  mul_accumulate<1>(shape, dst, factors, terms, onto, primes);
}

KERNEL __launch_bounds__(THREADS)
mul_accumulate_pairs(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, const Factor *__restrict__ factors, const u32 terms, const u32 onto,
                     const Prime *__restrict__ primes) {
  mul_accumulate<2>(shape, dst, factors, terms, onto, primes);
}

// dst = sum over terms of sigma(src), plus what dst has if `onto`; `elements`: one for each term, for all items.
KERNEL __launch_bounds__(THREADS)
permute_accumulate_rows(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, const Factor *__restrict__ factors, const u32 *__restrict__ elements,
                        const u32 terms, const u32 onto, const Prime *__restrict__ primes) {
  const Cell cell = cell_of(shape);
  const u32 p = primes[shape.prime[cell.row]].p, n = 1u << shape.log_n;
  const u32 start = blockIdx.x * THREADS * PER_THREAD + threadIdx.x;
  const u32 *at = positions_of(factors, terms);
  u32 *to = row_of(dst, shape, cell), sums[PER_THREAD];
#pragma unroll
  for (int i = 0; i < PER_THREAD; i++) {
    const u32 x = start + i * THREADS;
    sums[i] = onto && x < n ? to[x] : 0;
  }
  for (u32 term = 0; term < terms; term++) {
    const u32 g = elements[term];
    const u32 *from = row_of(factors, at, term, shape, cell.item, cell.poly, cell.row);
#pragma unroll
    for (int i = 0; i < PER_THREAD; i++) {
      const u32 x = start + i * THREADS;
      if (x < n) sums[i] = add_mod(sums[i], from[source_of(x, g, shape.log_n)], p);
    }
  }
#pragma unroll
  for (int i = 0; i < PER_THREAD; i++) {
    const u32 x = start + i * THREADS;
    if (x < n) to[x] = sums[i];
  }
}
