// Base conversion. grid: (N / COEFFICIENTS, groups of TARGETS_A_BLOCK targets, items x polynomials), COEFFICIENTS threads.
//
// y_i = x_i f_i mod q_i;  v = (sum y_i fraction_i + 2^63) >> 64;  result_r = sum y_i w_ri + v o_r mod r.
// The scaled sources of a block stay in shared memory; each thread takes one coefficient and four targets at a time.
#include "ntt.cuh"

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
convert_rows(BY_VALUE(Shape) shape, BY_VALUE(Shape) from, BY_VALUE(Rows) dst, BY_VALUE(Rows) src, BY_VALUE(Conversion) c,
             const Prime *__restrict__ primes) {
  u32 *scaled = dynamic_shared();
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
      if (i && i % TERMS == 0) {
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

// Several conversions at once, each with the outer pass of the transform of its targets: what goes to memory is ready for the inner pass.
//
// grid: (N / 1024, groups of GROUP targets of all conversions, items x polynomials), 512 threads. Sources are scaled already. A block has all
// sources of 1024 coefficients, 2^S rows of the outer pass by 1024 / 2^S columns, and forms four targets at a time, which go through their
// stages side by side, a quarter of the block each. The first KEPT sources stay in shared memory, so that two blocks fit a multiprocessor;
// those beyond are read again for every four targets.
#define WORKERS 512
#define GROUP 24
#define AT_ONCE 4
// No more than a sum takes before it is reduced.
#define KEPT TERMS
#define MAX_CONVERSIONS 16
#define MAX_TARGETS 512
#define TILE (1 << Quarter::LOG_TILE)

// What is converted, and where targets go.
struct Conversions {
  // Rows of targets.
  u32 *words;
  u32 item_stride, poly_stride;
  u32 count;
  Conversion part[MAX_CONVERSIONS];
  // Its first source among the rows of the source, and its first target below.
  u16 source[MAX_CONVERSIONS];
  u16 target[MAX_CONVERSIONS];
  // Row and prime of each target.
  u16 at[MAX_TARGETS];
  u16 prime[MAX_TARGETS];
};

template <int S>
__device__ __forceinline__ void convert_outer(const Shape &from, const Rows &src, const Conversions &c,
                                              const Prime *__restrict__ primes, const u32 *__restrict__ twiddles) {
  u32 *tiles = dynamic_shared();
  const u32 z = blockIdx.z + from.first, item = z / from.polys, poly = z % from.polys;
  u32 part = 0, begin = blockIdx.y * GROUP;
  while (begin >= (c.part[part].targets + GROUP - 1) / GROUP * GROUP) begin -= (c.part[part++].targets + GROUP - 1) / GROUP * GROUP;
  const Conversion &own = c.part[part];
  const u32 sources = own.sources, terms = sources + 1, count = min(GROUP, own.targets - begin);
  u32 *weights = tiles + AT_ONCE * TILE_WORDS(Quarter), *y = weights + GROUP * terms;

  // Each thread uses the two coefficients that it loads.
  constexpr int LANES = Quarter::LOG_TILE - S;
  u64 low[2] = {1ull << 63, 1ull << 63};
  u32 high[2] = {}, x[2];
#pragma unroll
  for (int k = 0; k < 2; k++) {
    const u32 e = threadIdx.x + WORKERS * k;
    x[k] = ((e >> LANES) << (from.log_n - S)) + (blockIdx.x << LANES) + (e & ((1u << LANES) - 1));
  }
  for (u32 i = 0; i < sources; i++) {
    const u32 *row = row_of(src, from, item, poly, c.source[part] + i);
    const u64 fraction = own.fractions[i];
#pragma unroll
    for (int k = 0; k < 2; k++) {
      const u32 word = row[x[k]];
      if (i < KEPT) y[i * TILE + threadIdx.x + WORKERS * k] = word;
      const u64 product = word * fraction;
      low[k] += product;
      high[k] += (u32)__umul64hi(word, fraction) + (low[k] < product);
    }
  }
  // Weights of four targets together; those beyond the last repeat it.
  for (u32 i = threadIdx.x; i < GROUP * terms; i += WORKERS) {
    const u32 target = min(i / (AT_ONCE * terms) * AT_ONCE + i % AT_ONCE, count - 1);
    weights[i] = own.weights[(begin + target) * terms + i / AT_ONCE % terms];
  }
  __syncthreads();

  const u32 quarter = threadIdx.x / Quarter::THREADS_A_TILE;
  Place at = {0, tiles + quarter * TILE_WORDS(Quarter), from.log_n, threadIdx.x % Quarter::THREADS_A_TILE, blockIdx.x};
  for (u32 first = 0; first < count; first += AT_ONCE) {
    const uint4 *w = (const uint4 *)(weights + first * terms);
    u64 sums[AT_ONCE][2];
    const u16 *prime = c.prime + c.target[part] + begin;
    const uint4 overflow = w[sources];
#pragma unroll
    for (int k = 0; k < 2; k++) {
      sums[0][k] = (u64)high[k] * overflow.x;
      sums[1][k] = (u64)high[k] * overflow.y;
      sums[2][k] = (u64)high[k] * overflow.z;
      sums[3][k] = (u64)high[k] * overflow.w;
    }
    const auto add = [&](const uint4 four, int k, u64 word) {
      sums[0][k] += word * four.x;
      sums[1][k] += word * four.y;
      sums[2][k] += word * four.z;
      sums[3][k] += word * four.w;
    };
    for (u32 i = 0; i < min(sources, KEPT); i++) {
      const uint4 four = w[i];
#pragma unroll
      for (int k = 0; k < 2; k++) add(four, k, y[i * TILE + threadIdx.x + WORKERS * k]);
    }
    for (u32 i = KEPT; i < sources; i++) {
      if (i % TERMS == 0) {
#pragma unroll
        for (int t = 0; t < AT_ONCE; t++) {
          const Prime m = primes[prime[min(first + t, count - 1)]];
          sums[t][0] = reduce(sums[t][0], m);
          sums[t][1] = reduce(sums[t][1], m);
        }
      }
      const u32 *row = row_of(src, from, item, poly, c.source[part] + i);
      const uint4 four = w[i];
#pragma unroll
      for (int k = 0; k < 2; k++) add(four, k, row[x[k]]);
    }
    // The words of the four targets before may still be read.
    __syncthreads();
#pragma unroll
    for (int t = 0; t < AT_ONCE; t++) {
      const Prime &m = primes[prime[min(first + t, count - 1)]];
      const u32 p = m.p, inverse = m.inverse;
#pragma unroll
      for (int k = 0; k < 2; k++)
        tiles[t * TILE_WORDS(Quarter) + PADDED(threadIdx.x + WORKERS * k)] = montgomery_sum(sums[t][k], p, inverse);
    }
    __syncthreads();
    const u32 target = min(first + quarter, count - 1);
    const Prime m = primes[prime[target]];
    at.twiddles = twiddles + ((u64)prime[target] << from.log_n);
    u32 held[Quarter::HELD];
    from_shared<Quarter, S, 0, FIRST(Quarter, S), true>(held, at);
    pass_down<Quarter, S, 0, true>(held, at, m);
    if (first + quarter < count) {
      const u32 row = item * c.item_stride + poly * c.poly_stride + c.at[c.target[part] + begin + target];
      to_global<Quarter, S, LAST_ROUND(Quarter, S), true>(held, c.words + ((u64)row << from.log_n), at);
    }
  }
}

#define CONVERT_OUTER(S)                                                                                                     \
  KERNEL __launch_bounds__(WORKERS, 2)                                                                                       \
  convert_outer_##S(BY_VALUE(Shape) from, BY_VALUE(Rows) src, BY_VALUE(Conversions) c, const Prime *__restrict__ primes,                 \
                    const u32 *__restrict__ twiddles) {                                                                      \
    convert_outer<S>(from, src, c, primes, twiddles);                                                                        \
  }
CONVERT_OUTER(3)
CONVERT_OUTER(4)
CONVERT_OUTER(5)
CONVERT_OUTER(6)
CONVERT_OUTER(7)
CONVERT_OUTER(8)
