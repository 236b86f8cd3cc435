// Transforms. grid: (tiles of a row, rows, items x polynomials), 256 threads; `ntt_small`, `intt_small`: (1, rows, ...).
#include "ntt.cuh"

// Blocks on a multiprocessor at the least: 64 registers a thread, half of the warps.
#define BLOCKS 4

// The place of a row's tile in shared memory, for all threads of a block.
__device__ __forceinline__ Place place_of(const u32 *twiddles, u32 prime, u32 *tile, u32 log_n) {
  return {twiddles + ((u64)prime << log_n), tile, log_n, threadIdx.x, blockIdx.x};
}

template <int S>
__device__ __forceinline__ void forward_outer(const Shape &shape, const Rows &dst, const Prime *primes, const u32 *twiddles) {
  __shared__ u32 tile[TILE_WORDS(Outer)];
  const Cell cell = cell_of(shape);
  const u32 prime = shape.prime[cell.row];
  const Prime m = primes[prime];
  const Place at = place_of(twiddles, prime, tile, shape.log_n);
  u32 *row = row_of(dst, shape, cell), held[Outer::HELD];
  from_global<Outer, S, 0, FIRST(Outer, S), true>(held, row, at);
  pass_down<Outer, S, 0, true>(held, at, m);
  to_global<Outer, S, LAST_ROUND(Outer, S), true>(held, row, at);
}

// The factors of the last stage of the inverse transform, in Montgomery's form: c N^-1 and c N^-1 psi^-bitrev(1) where a row is to be
// multiplied by c, those of the prime otherwise.
struct Ends {
  u32 scaled;
  u32 one[MAX_ROWS];
  u32 twist[MAX_ROWS];
};

// The last stage takes 1/N, the twiddle of node 1, and the factor of the row as one factor.
template <int S>
__device__ __forceinline__ void inverse_outer(const Shape &shape, const Rows &dst, const Ends &ends, const Prime *primes,
                                              const u32 *twiddles) {
  __shared__ u32 tile[TILE_WORDS(Outer)];
  const Cell cell = cell_of(shape);
  const u32 prime = shape.prime[cell.row];
  const Prime m = primes[prime];
  const Place at = place_of(twiddles, prime, tile, shape.log_n);
  u32 *row = row_of(dst, shape, cell), held[Outer::HELD];
  constexpr int A = FIRST(Outer, S), half = (1 << A) / 2;
  from_global<Outer, S, LAST_ROUND(Outer, S), true>(held, row, at);
  pass_up<Outer, S, (S > Outer::LOG_HELD ? S - Outer::LOG_HELD : 0), true, true>(held, at, m);
  const u32 one = ends.scaled ? ends.one[cell.row] : m.last_one, twist = ends.scaled ? ends.twist[cell.row] : m.last_twist;
#pragma unroll
  for (int k = 0; k < Outer::HELD >> A; k++) {
#pragma unroll
    for (int j = 0; j < half; j++) {
      u32 &x = held[(k << A) + j], &y = held[(k << A) + j + half];
      const u32 sum = x + y, difference = x + 2 * m.p - y;
      x = mul_fixed(sum, one, m.p, m.inverse);
      y = mul_fixed(difference, twist, m.p, m.inverse);
    }
  }
  to_global<Outer, S, 0, A, true>(held, row, at);
}

#define OUTER(S)                                                                                                             \
  KERNEL __launch_bounds__(THREADS, BLOCKS)                                                                                  \
  ntt_outer_##S(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, const Prime *__restrict__ primes, const u32 *__restrict__ twiddles) {     \
    forward_outer<S>(shape, dst, primes, twiddles);                                                                          \
  }                                                                                                                          \
  KERNEL __launch_bounds__(THREADS, BLOCKS)                                                                                  \
  intt_outer_##S(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, BY_VALUE(Ends) ends, const Prime *__restrict__ primes,                       \
                 const u32 *__restrict__ twiddles) {                                                                         \
    inverse_outer<S>(shape, dst, ends, primes, twiddles);                                                                    \
  }
OUTER(3)
OUTER(4)
OUTER(5)
OUTER(6)
OUTER(7)
OUTER(8)

template <bool ADDS>
__device__ __forceinline__ void forward_inner(const Shape &shape, const Rows &dst, const Addend *addend, const Prime *primes,
                                              const u32 *twiddles) {
  __shared__ u32 tile[TILE_WORDS(Inner)];
  const Cell cell = cell_of(shape);
  const u32 prime = shape.prime[cell.row];
  const Prime m = primes[prime];
  u32 *row = row_of(dst, shape, cell), held[8];
  inner_down(held, row, place_of(twiddles, prime, tile, shape.log_n), m);
  const u32 first = (blockIdx.x << Inner::LOG_TILE) + 8 * threadIdx.x;
  if (ADDS && addend->rows.at[cell.row] != NO_ROW) {
    const u32 factor = addend->factor[cell.row];
    u32 other[8];
    load_eight(other, row_of(addend->rows, shape, cell) + first);
#pragma unroll
    for (int i = 0; i < 8; i++) held[i] = add_mod(held[i], mul_fixed(other[i], factor, m.p, m.inverse), m.p);
  }
  store_eight(held, row + first);
}

KERNEL __launch_bounds__(THREADS, BLOCKS)
ntt_inner(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, const Prime *__restrict__ primes, const u32 *__restrict__ twiddles) {
  forward_inner<false>(shape, dst, 0, primes, twiddles);
}

KERNEL __launch_bounds__(THREADS, BLOCKS)
ntt_inner_add(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, BY_VALUE(Addend) addend, const Prime *__restrict__ primes,
              const u32 *__restrict__ twiddles) {
  forward_inner<true>(shape, dst, &addend, primes, twiddles);
}

KERNEL __launch_bounds__(THREADS, BLOCKS)
intt_inner(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, BY_VALUE(Rows) src, const Prime *__restrict__ primes,
           const u32 *__restrict__ twiddles) {
  __shared__ u32 tile[TILE_WORDS(Inner)];
  const Cell cell = cell_of(shape);
  const u32 prime = shape.prime[cell.row];
  const Prime m = primes[prime];
  const Place at = place_of(twiddles, prime, tile, shape.log_n);
  u32 held[8];
  load_eight(held, row_of(src, shape, cell) + (blockIdx.x << Inner::LOG_TILE) + 8 * threadIdx.x);
  pass_up<Inner, INNER_STAGES, INNER_STAGES - Inner::LOG_HELD, false, false>(held, at, m);
  to_global<Inner, INNER_STAGES, 0, FIRST(Inner, INNER_STAGES), false>(held, row_of(dst, shape, cell), at);
}

// Rings below 2^12, for tests: a block a row, stage by stage in shared memory.
KERNEL ntt_small(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, const Prime *__restrict__ primes, const u32 *__restrict__ twiddles) {
  __shared__ u32 tile[1 << 11];
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
  for (u32 x = threadIdx.x; x < n; x += THREADS) row[x] = canonical(tile[x], m.p);
}

KERNEL intt_small(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, BY_VALUE(Rows) src, const Prime *__restrict__ primes,
                  const u32 *__restrict__ twiddles) {
  __shared__ u32 tile[1 << 11];
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
