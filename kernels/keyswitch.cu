// Sums of digits and keys: of digits that are ready, and of digits that still have the inner pass of their transform before them.
//
// sums (b, a) = sigma(c addend + sum over j of digit j times (b, a) of its digit of the key), in 64 bits, reduced at the end.
#include "ntt.cuh"

#define MAX_KEYS 64
#define MAX_DIGITS 64
#define NO_DIGIT 0xff

// Rows of keys: [digit][b, a][row][n], in Montgomery's form (2^32 k mod p).
struct Keys {
  const u32 *words[MAX_KEYS];
  // Inverses of Galois elements: evaluation x of a sum goes to position source_of(x, g^-1).
  u32 inverse[MAX_KEYS];
  // Rows of a polynomial of a key, the same for all.
  u32 rows;
  // One key, or element, for all items (0), or key i for item i (1).
  u32 key_step;
  u32 element_step;
  u32 digits;
  // Which row of the key has the prime of a row of the result.
  u16 at[MAX_ROWS];
  // Which digit of the key belongs to digit j.
  u8 digit[MAX_DIGITS];
  // Polynomials of the addend.
  u32 addends;
};

// The rows of digit j of the key, b; those of a come keys.rows rows later.
__device__ __forceinline__ const u32 *key_row(const Keys &keys, u32 item, u32 j, u32 row, u32 log_n) {
  const u64 at = keys.digit[j] * 2 * keys.rows + keys.at[row];
  return keys.words[item * keys.key_step] + (at << log_n);
}

// Digits that are ready, [item][digit][row][n]; dst has two polynomials.
// grid: (items, rows, N / 1024), items side by side, so that those with one key find it in the cache; one for all if they SHARE their
// digits and addend, which are then read once: words of a thread stay in its own places of shared memory, four for each.
template <bool SHARE>
__device__ __forceinline__ void sums_of_digits(const Shape &shape, const Rows &dst, const Rows &src, const Keys &keys,
                                         const Addend &addend, const u32 items, const Prime *primes) {
  const int per_thread = 4;
  u32 *own = dynamic_shared() + threadIdx.x;
  const u32 row = blockIdx.y, n = 1u << shape.log_n, x = blockIdx.z * THREADS * per_thread + threadIdx.x;
  const Prime m = primes[shape.prime[row]];
  const u32 addends = addend.rows.at[row] == NO_ROW ? 0 : keys.addends, factor = addend.factor[row];
  if (SHARE) {
    for (u32 j = 0; j < keys.digits + addends; j++) {
      const u32 *from = j < keys.digits ? row_of(src, shape, 0, j, row) : row_of(addend.rows, shape, 0, j - keys.digits, row);
#pragma unroll
      for (int k = 0; k < per_thread; k++) own[(j * per_thread + k) * THREADS] = x + THREADS * k < n ? from[x + THREADS * k] : 0;
    }
  }
  for (u32 item = SHARE ? 0 : blockIdx.x; item < items; item++) {
    u64 sums[2][per_thread] = {};
#pragma unroll
    for (u32 poly = 0; poly < 2; poly++) {
      if (poly >= addends) continue;
      const u32 *from = row_of(addend.rows, shape, item, poly, row);
#pragma unroll
      for (int k = 0; k < per_thread; k++) {
        if (x + THREADS * k >= n) continue;
        const u32 word = SHARE ? own[((keys.digits + poly) * per_thread + k) * THREADS] : from[x + THREADS * k];
        sums[poly][k] = (u64)word * factor;
      }
    }
    for (u32 j = 0; j < keys.digits; j++) {
      if (j && j % (TERMS - 1) == 0) {
#pragma unroll
        for (int k = 0; k < per_thread; k++) {
          sums[0][k] = reduce(sums[0][k], m);
          sums[1][k] = reduce(sums[1][k], m);
        }
      }
      const u32 *from = row_of(src, shape, item, j, row), *b = key_row(keys, item, j, row, shape.log_n);
      const u32 *a = b + ((u64)keys.rows << shape.log_n);
#pragma unroll
      for (int k = 0; k < per_thread; k++) {
        const u32 at = x + THREADS * k;
        if (at >= n) continue;
        const u64 digit = SHARE ? own[(j * per_thread + k) * THREADS] : from[at];
        sums[0][k] += digit * b[at];
        sums[1][k] += digit * a[at];
      }
    }
    const u32 inverse = keys.inverse[item * keys.element_step];
    u32 *b = row_of(dst, shape, item, 0, row), *a = row_of(dst, shape, item, 1, row);
#pragma unroll
    for (int k = 0; k < per_thread; k++) {
      if (x + THREADS * k >= n) continue;
      const u32 to = source_of(x + THREADS * k, inverse, shape.log_n);
      b[to] = montgomery(sums[0][k], m.p, m.inverse);
      a[to] = montgomery(sums[1][k], m.p, m.inverse);
    }
    if (!SHARE) break;
  }
}

KERNEL __launch_bounds__(THREADS, 4)
key_sums(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, BY_VALUE(Rows) src, BY_VALUE(Keys) keys, BY_VALUE(Addend) addend, const u32 items,
         const Prime *__restrict__ primes) {
  sums_of_digits<false>(shape, dst, src, keys, addend, items, primes);
}

KERNEL __launch_bounds__(THREADS, 4)
key_sums_shared(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, BY_VALUE(Rows) src, BY_VALUE(Keys) keys, BY_VALUE(Addend) addend, const u32 items,
                const Prime *__restrict__ primes) {
  sums_of_digits<true>(shape, dst, src, keys, addend, items, primes);
}

// Digits as the outer pass left them and the rows of each digit's own primes as they are.
struct Digits {
  // [item][digit][row][n]; a digit's own rows hold nothing.
  const u32 *words;
  Rows own;
  // The digit that a row's prime belongs to, if any.
  u8 of[MAX_ROWS];
};

// The inner pass of every digit of a row, and the sums, [item][b, a][row][n] at `sums`. grid: (items, rows, N / 2048), items side by side.
KERNEL __launch_bounds__(THREADS, 4)
ntt_inner_sums(BY_VALUE(Shape) shape, u32 *sums, BY_VALUE(Digits) digits, BY_VALUE(Keys) keys, BY_VALUE(Addend) addend,
               const Prime *__restrict__ primes, const u32 *__restrict__ twiddles) {
  __shared__ u32 tile[TILE_WORDS(Inner)];
  const u32 item = blockIdx.x, block = blockIdx.z;
  const u32 row = blockIdx.y, prime = shape.prime[row], log_n = shape.log_n;
  const u32 first = (block << Inner::LOG_TILE) + 8 * threadIdx.x;
  const Prime m = primes[prime];
  const Place at = {twiddles + ((u64)prime << log_n), tile, log_n, threadIdx.x, block};
  u64 b[8] = {}, a[8] = {};
  u32 held[8];
  const u32 addends = addend.rows.at[row] == NO_ROW ? 0 : keys.addends, factor = addend.factor[row];
  if (addends > 0) {
    load_eight(held, row_of(addend.rows, shape, item, 0, row) + first);
#pragma unroll
    for (int i = 0; i < 8; i++) b[i] = (u64)held[i] * factor;
  }
  if (addends > 1) {
    load_eight(held, row_of(addend.rows, shape, item, 1, row) + first);
#pragma unroll
    for (int i = 0; i < 8; i++) a[i] = (u64)held[i] * factor;
  }
  for (u32 j = 0; j < keys.digits; j++) {
    if (j && j % (TERMS - 1) == 0) {
#pragma unroll
      for (int i = 0; i < 8; i++) {
        b[i] = reduce(b[i], m);
        a[i] = reduce(a[i], m);
      }
    }
    if (digits.of[row] == j) {
      load_eight(held, row_of(digits.own, shape, item, 0, row) + first);
    } else {
      // Words of the digit before may still be read.
      __syncthreads();
      inner_down(held, digits.words + ((u64)((item * keys.digits + j) * shape.rows + row) << log_n), at, m);
    }
    const u32 *key = key_row(keys, item, j, row, log_n) + first;
    u32 word[8];
    load_eight(word, key);
#pragma unroll
    for (int i = 0; i < 8; i++) b[i] += (u64)held[i] * word[i];
    load_eight(word, key + ((u64)keys.rows << log_n));
#pragma unroll
    for (int i = 0; i < 8; i++) a[i] += (u64)held[i] * word[i];
  }
  u32 *to = sums + ((u64)(2 * item * shape.rows + row) << log_n);
  const u32 inverse = keys.inverse[item * keys.element_step];
#pragma unroll
  for (int poly = 0; poly < 2; poly++) {
#pragma unroll
    for (int i = 0; i < 8; i++) held[i] = montgomery(poly ? a[i] : b[i], m.p, m.inverse);
    if (inverse == 1) {
      store_eight(held, to + first);
    } else {
      // Eight neighbours go to eight neighbours, in another order.
#pragma unroll
      for (int i = 0; i < 8; i++) to[source_of(first + i, inverse, log_n)] = held[i];
    }
    to += (u64)shape.rows << log_n;
  }
}
