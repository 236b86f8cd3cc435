// Transforms. grid: (N / 4096, rows, items x polynomials), 256 threads; `ntt_small`, `intt_small`: (1, rows, ...).
#include "ntt.cuh"

// Blocks on a multiprocessor at the least: 64 registers a thread, half of the warps.
#define BLOCKS 4

template <int S>
__device__ __forceinline__ void forward_outer(const Shape &shape, const Rows &dst, const Prime *primes, const u32 *twiddles) {
  __shared__ u32 tile[TILE_WORDS];
  const Cell cell = cell_of(shape);
  const u32 prime = shape.prime[cell.row];
  const Prime m = primes[prime];
  u32 *row = row_of(dst, shape, cell), held[HELD];
  pass_down<S, true>(held, tile, row, twiddles + ((u64)prime << shape.log_n), shape.log_n, m);
  to_global<LAST_ROUND(S), true>(held, row, shape.log_n);
}

// The last stage takes 1/N and the twiddle of node 1 as one factor.
template <int S>
__device__ __forceinline__ void inverse_outer(const Shape &shape, const Rows &dst, const Prime *primes, const u32 *twiddles) {
  __shared__ u32 tile[TILE_WORDS];
  const Cell cell = cell_of(shape);
  const u32 prime = shape.prime[cell.row];
  const Prime m = primes[prime];
  u32 *row = row_of(dst, shape, cell), held[HELD];
  from_global<LAST_ROUND(S), true>(held, row, shape.log_n);
  pass_up<S, true, true>(held, tile, twiddles + ((u64)prime << shape.log_n), shape.log_n, m);
  constexpr int A = FIRST(S), half = (1 << A) / 2;
#pragma unroll
  for (int k = 0; k < HELD >> A; k++) {
#pragma unroll
    for (int j = 0; j < half; j++) {
      u32 &x = held[(k << A) + j], &y = held[(k << A) + j + half];
      const u32 sum = x + y, difference = x + 2 * m.p - y;
      x = mul_fixed(sum, m.last_one, m.p, m.inverse);
      y = mul_fixed(difference, m.last_twist, m.p, m.inverse);
    }
  }
  to_global<S, 0, A, true>(held, row, shape.log_n);
}

#define OUTER(S)                                                                                                             \
  KERNEL __launch_bounds__(THREADS, BLOCKS)                                                                                  \
  ntt_outer_##S(const Shape shape, const Rows dst, const Prime *__restrict__ primes, const u32 *__restrict__ twiddles) {     \
    forward_outer<S>(shape, dst, primes, twiddles);                                                                          \
  }                                                                                                                          \
  KERNEL __launch_bounds__(THREADS, BLOCKS)                                                                                  \
  intt_outer_##S(const Shape shape, const Rows dst, const Prime *__restrict__ primes, const u32 *__restrict__ twiddles) {    \
    inverse_outer<S>(shape, dst, primes, twiddles);                                                                          \
  }
OUTER(4)
OUTER(5)
OUTER(6)
OUTER(7)
OUTER(8)
OUTER(9)

// What the last pass downwards adds to its result: factor times a row, where there is one.
struct Addend {
  Rows rows;
  // 2^32 c mod p, one a row.
  const u32 *factors;
};
#define NO_ROW 0xffff

__device__ __forceinline__ u32 added(u32 x, u32 y, u32 factor, const Prime &m) {
  return add_mod(x, mul_fixed(y, factor, m.p, m.inverse), m.p);
}

// Words leave in their order, through shared memory.
template <bool ADDS>
__device__ __forceinline__ void forward_inner(const Shape &shape, const Rows &dst, const Addend *addend, const Prime *primes,
                                              const u32 *twiddles) {
  __shared__ u32 tile[TILE_WORDS];
  const Cell cell = cell_of(shape);
  const u32 prime = shape.prime[cell.row];
  const Prime m = primes[prime];
  u32 *row = row_of(dst, shape, cell), held[HELD];
  pass_down<INNER_STAGES, false>(held, tile, row, twiddles + ((u64)prime << shape.log_n), shape.log_n, m);
  __syncthreads();
#pragma unroll
  for (int i = 0; i < HELD; i++) held[i] = canonical(held[i], m.p);
  to_shared<LAST_ROUND(INNER_STAGES), false>(held, tile);
  __syncthreads();
  const u32 first = (blockIdx.x << LOG_TILE) + threadIdx.x;
  if (ADDS && addend->rows.at[cell.row] != NO_ROW) {
    const u32 *from = row_of(addend->rows, shape, cell), factor = addend->factors[cell.row];
#pragma unroll
    for (int i = 0; i < HELD; i++)
      row[first + THREADS * i] = added(tile[PADDED(threadIdx.x + THREADS * i)], from[first + THREADS * i], factor, m);
  } else {
#pragma unroll
    for (int i = 0; i < HELD; i++) row[first + THREADS * i] = tile[PADDED(threadIdx.x + THREADS * i)];
  }
}

KERNEL __launch_bounds__(THREADS, BLOCKS)
ntt_inner(const Shape shape, const Rows dst, const Prime *__restrict__ primes, const u32 *__restrict__ twiddles) {
  forward_inner<false>(shape, dst, 0, primes, twiddles);
}

KERNEL __launch_bounds__(THREADS, BLOCKS)
ntt_inner_add(const Shape shape, const Rows dst, const Addend addend, const Prime *__restrict__ primes,
              const u32 *__restrict__ twiddles) {
  forward_inner<true>(shape, dst, &addend, primes, twiddles);
}

KERNEL __launch_bounds__(THREADS, BLOCKS)
intt_inner(const Shape shape, const Rows dst, const Rows src, const Prime *__restrict__ primes,
           const u32 *__restrict__ twiddles) {
  __shared__ u32 tile[TILE_WORDS];
  const Cell cell = cell_of(shape);
  const u32 prime = shape.prime[cell.row];
  const Prime m = primes[prime];
  u32 *row = row_of(dst, shape, cell), held[HELD];
  const u32 *from = row_of(src, shape, cell) + (blockIdx.x << LOG_TILE);
#pragma unroll
  for (int i = 0; i < HELD; i++) tile[PADDED(threadIdx.x + THREADS * i)] = from[threadIdx.x + THREADS * i];
  __syncthreads();
  from_shared<LAST_ROUND(INNER_STAGES), false>(held, tile);
  __syncthreads();
  pass_up<INNER_STAGES, false, false>(held, tile, twiddles + ((u64)prime << shape.log_n), shape.log_n, m);
  to_global<INNER_STAGES, 0, FIRST(INNER_STAGES), false>(held, row, shape.log_n);
}

// Rings below 2^12, for tests: a block a row, stage by stage in shared memory.
template <bool ADDS>
__device__ __forceinline__ void forward_small(const Shape &shape, const Rows &dst, const Addend *addend, const Prime *primes,
                                              const u32 *twiddles) {
  __shared__ u32 tile[1 << (LOG_TILE - 1)];
  const Cell cell = cell_of(shape);
  const u32 prime = shape.prime[cell.row], n = 1u << shape.log_n;
  const Prime m = primes[prime];
  u32 *row = row_of(dst, shape, cell);
  twiddles += (u64)prime << shape.log_n;
  for (u32 x = threadIdx.x; x < n; x += THREADS) tile[x] = row[x];
  __syncthreads();
  for (u32 groups = 1, log_half = shape.log_n - 1; groups < n; groups *= 2, log_half--) {
    for (u32 b = threadIdx.x; b < n / 2; b += THREADS) {
      const u32 g = b >> log_half, x = (g << (log_half + 1)) + (b & ((1u << log_half) - 1));
      down(tile[x], tile[x + (1u << log_half)], twiddles[groups + g], m);
    }
    __syncthreads();
  }
  const bool adds = ADDS && addend->rows.at[cell.row] != NO_ROW;
  for (u32 x = threadIdx.x; x < n; x += THREADS) {
    const u32 y = canonical(tile[x], m.p);
    row[x] = adds ? added(y, row_of(addend->rows, shape, cell)[x], addend->factors[cell.row], m) : y;
  }
}

KERNEL ntt_small(const Shape shape, const Rows dst, const Prime *__restrict__ primes, const u32 *__restrict__ twiddles) {
  forward_small<false>(shape, dst, 0, primes, twiddles);
}

KERNEL ntt_small_add(const Shape shape, const Rows dst, const Addend addend, const Prime *__restrict__ primes,
                     const u32 *__restrict__ twiddles) {
  forward_small<true>(shape, dst, &addend, primes, twiddles);
}

KERNEL intt_small(const Shape shape, const Rows dst, const Rows src, const Prime *__restrict__ primes,
                  const u32 *__restrict__ twiddles) {
  __shared__ u32 tile[1 << (LOG_TILE - 1)];
  const Cell cell = cell_of(shape);
  const u32 prime = shape.prime[cell.row], n = 1u << shape.log_n;
  const Prime m = primes[prime];
  u32 *row = row_of(dst, shape, cell);
  const u32 *from = row_of(src, shape, cell);
  twiddles += (u64)prime << shape.log_n;
  for (u32 x = threadIdx.x; x < n; x += THREADS) tile[x] = from[x];
  __syncthreads();
  for (u32 groups = n / 2, log_half = 0; groups > 1; groups /= 2, log_half++) {
    for (u32 b = threadIdx.x; b < n / 2; b += THREADS) {
      const u32 g = b >> log_half, x = (g << (log_half + 1)) + (b & ((1u << log_half) - 1));
      up(tile[x], tile[x + (1u << log_half)], twiddles[groups + g], m);
    }
    __syncthreads();
  }
  for (u32 x = threadIdx.x; x < n / 2; x += THREADS) {
    const u32 sum = tile[x] + tile[x + n / 2], difference = tile[x] + 2 * m.p - tile[x + n / 2];
    row[x] = mul_fixed(sum, m.last_one, m.p, m.inverse);
    row[x + n / 2] = mul_fixed(difference, m.last_twist, m.p, m.inverse);
  }
}
