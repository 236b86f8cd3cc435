// The inner product of digits and keys. grid: (N / THREADS, rows, items).
#include "common.cuh"

#define MAX_KEYS 64
#define MAX_DIGITS 64

// Rows of keys: [digit][b, a][row][n], in Montgomery's form (2^32 k mod p).
struct Keys {
  const u32 *words[MAX_KEYS];
  // Rows of a polynomial of a key, the same for all.
  u32 rows;
  // One key for all items (0), or key i for item i (1).
  u32 item_step;
  // Which row of the key has the prime of a row of the result.
  u16 at[MAX_ROWS];
  // Which digit of the key belongs to polynomial j of the source.
  u16 digit[MAX_DIGITS];
  u32 digits;
};

// dst polynomials 0 and 1 = sum over j of src polynomial j times (b, a) of its digit.
KERNEL __launch_bounds__(THREADS)
key_inner_product(const Shape shape, const Rows dst, const Rows src, const Keys keys, const Prime *__restrict__ primes) {
  const u32 item = blockIdx.z + shape.first, row = blockIdx.y;
  const u32 x = blockIdx.x * THREADS + threadIdx.x;
  if (x >> shape.log_n) return;
  const Prime m = primes[shape.prime[row]];
  const u32 *key = keys.words[item * keys.item_step];
  u64 b = 0, a = 0;
  for (u32 j = 0; j < keys.digits; j++) {
    if (j && j % (TERMS - 1) == 0) {
      b = reduce(b, m);
      a = reduce(a, m);
    }
    const u64 d = row_of(src, shape, item, j, row)[x];
    const u64 at = keys.digit[j] * 2 * keys.rows + keys.at[row];
    b += d * key[(at << shape.log_n) + x];
    a += d * key[((at + keys.rows) << shape.log_n) + x];
  }
  row_of(dst, shape, item, 0, row)[x] = montgomery(b, m.p, m.inverse);
  row_of(dst, shape, item, 1, row)[x] = montgomery(a, m.p, m.inverse);
}
