// Pointwise operations. grid: (words / (THREADS * PER_THREAD), rows, items x polynomials).
#include "common.cuh"

// Words start, start + THREADS, ... of the row, as far as it goes.
#define FOR_EACH_WORD(x)                                                                       \
  for (u32 x = blockIdx.x * THREADS * PER_THREAD + threadIdx.x, step_ = 0;                     \
       step_ < PER_THREAD && x < (1u << shape.log_n); step_++, x += THREADS)

KERNEL copy_rows(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, BY_VALUE(Rows) src) {
  const Cell cell = cell_of(shape);
  u32 *to = row_of(dst, shape, cell);
  const u32 *from = row_of(src, shape, cell);
  FOR_EACH_WORD(x) to[x] = from[x];
}

KERNEL zero_rows(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst) {
  u32 *to = row_of(dst, shape, cell_of(shape));
  FOR_EACH_WORD(x) to[x] = 0;
}

KERNEL add_rows(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, BY_VALUE(Rows) src, const Prime *__restrict__ primes) {
  const Cell cell = cell_of(shape);
  const u32 p = primes[shape.prime[cell.row]].p;
  u32 *to = row_of(dst, shape, cell);
  const u32 *from = row_of(src, shape, cell);
  FOR_EACH_WORD(x) to[x] = add_mod(to[x], from[x], p);
}

KERNEL sub_rows(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, BY_VALUE(Rows) src, const Prime *__restrict__ primes) {
  const Cell cell = cell_of(shape);
  const u32 p = primes[shape.prime[cell.row]].p;
  u32 *to = row_of(dst, shape, cell);
  const u32 *from = row_of(src, shape, cell);
  FOR_EACH_WORD(x) to[x] = sub_mod(to[x], from[x], p);
}

KERNEL neg_rows(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, const Prime *__restrict__ primes) {
  const Cell cell = cell_of(shape);
  const u32 p = primes[shape.prime[cell.row]].p;
  u32 *to = row_of(dst, shape, cell);
  FOR_EACH_WORD(x) to[x] = sub_mod(0, to[x], p);
}

KERNEL mul_rows(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, BY_VALUE(Rows) a, BY_VALUE(Rows) b, const Prime *__restrict__ primes) {
  const Cell cell = cell_of(shape);
  const Prime m = primes[shape.prime[cell.row]];
  u32 *to = row_of(dst, shape, cell);
  const u32 *left = row_of(a, shape, cell), *right = row_of(b, shape, cell);
  FOR_EACH_WORD(x) to[x] = reduce_product((u64)left[x] * right[x], m);
}

KERNEL mul_add_rows(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, BY_VALUE(Rows) a, BY_VALUE(Rows) b,
                    const Prime *__restrict__ primes) {
  const Cell cell = cell_of(shape);
  const Prime m = primes[shape.prime[cell.row]];
  u32 *to = row_of(dst, shape, cell);
  const u32 *left = row_of(a, shape, cell), *right = row_of(b, shape, cell);
  // (p - 1)^2 + p - 1 < p^2
  FOR_EACH_WORD(x) to[x] = reduce_product((u64)left[x] * right[x] + to[x], m);
}

// `factors`: 2^32 c mod p, one a row, for all items (item_step 0) or for each in turn.
KERNEL mul_const_rows(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, BY_VALUE(Rows) src, const u32 *__restrict__ factors,
                      const u32 item_step, const Prime *__restrict__ primes) {
  const Cell cell = cell_of(shape);
  const Prime m = primes[shape.prime[cell.row]];
  const u32 c = factors[cell.item * item_step + cell.row];
  u32 *to = row_of(dst, shape, cell);
  const u32 *from = row_of(src, shape, cell);
  FOR_EACH_WORD(x) to[x] = mul_fixed(from[x], c, m.p, m.inverse);
}

KERNEL mul_const_add_rows(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, BY_VALUE(Rows) src, const u32 *__restrict__ factors,
                          const u32 item_step, const Prime *__restrict__ primes) {
  const Cell cell = cell_of(shape);
  const Prime m = primes[shape.prime[cell.row]];
  const u32 c = factors[cell.item * item_step + cell.row];
  u32 *to = row_of(dst, shape, cell);
  const u32 *from = row_of(src, shape, cell);
  FOR_EACH_WORD(x) to[x] = add_mod(to[x], mul_fixed(from[x], c, m.p, m.inverse), m.p);
}

// `terms`: c, as it is.
KERNEL add_const_rows(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, const u32 *__restrict__ terms, const u32 item_step,
                      const Prime *__restrict__ primes) {
  const Cell cell = cell_of(shape);
  const u32 p = primes[shape.prime[cell.row]].p;
  const u32 c = terms[cell.item * item_step + cell.row];
  u32 *to = row_of(dst, shape, cell);
  FOR_EACH_WORD(x) to[x] = add_mod(to[x], c, p);
}

// X^(N/2) at psi^(2i+1) is (-1)^i psi^(N/2); in bit-reversed order the even i are the first half.
KERNEL mul_i_rows(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, const Prime *__restrict__ primes) {
  const Cell cell = cell_of(shape);
  const Prime m = primes[shape.prime[cell.row]];
  u32 *to = row_of(dst, shape, cell);
  FOR_EACH_WORD(x) {
    const u32 y = mul_fixed(to[x], m.i, m.p, m.inverse);
    to[x] = x >> (shape.log_n - 1) ? sub_mod(0, y, m.p) : y;
  }
}

// `elements`: g, one for all items (item_step 0) or one an item.
KERNEL permute_rows(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, BY_VALUE(Rows) src, const u32 *__restrict__ elements,
                    const u32 item_step) {
  const Cell cell = cell_of(shape);
  const u32 g = elements[cell.item * item_step];
  u32 *to = row_of(dst, shape, cell);
  const u32 *from = row_of(src, shape, cell);
  FOR_EACH_WORD(x) to[x] = from[source_of(x, g, shape.log_n)];
}

KERNEL permute_add_rows(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, BY_VALUE(Rows) src, const u32 *__restrict__ elements,
                        const u32 item_step, const Prime *__restrict__ primes) {
  const Cell cell = cell_of(shape);
  const u32 p = primes[shape.prime[cell.row]].p;
  const u32 g = elements[cell.item * item_step];
  u32 *to = row_of(dst, shape, cell);
  const u32 *from = row_of(src, shape, cell);
  FOR_EACH_WORD(x) to[x] = add_mod(to[x], from[source_of(x, g, shape.log_n)], p);
}

// dst (3 polynomials) = sum over `terms` items of a b, a and b of 2 polynomials. blockIdx.z is an item.
KERNEL tensor_rows(BY_VALUE(Shape) shape, BY_VALUE(Rows) dst, BY_VALUE(Rows) a, BY_VALUE(Rows) b, const u32 terms,
                   const Prime *__restrict__ primes) {
  // Two products a term go into the middle sum: 2 (7 (2^30)^2) + 2^30 < 2^64.
  const u32 every = 7;
  const u32 item = blockIdx.z + shape.first, row = blockIdx.y;
  const Prime m = primes[shape.prime[row]];
  FOR_EACH_WORD(x) {
    u64 s0 = 0, s1 = 0, s2 = 0;
    for (u32 term = 0; term < terms; term++) {
      if (term && term % every == 0) {
        s0 = reduce(s0, m);
        s1 = reduce(s1, m);
        s2 = reduce(s2, m);
      }
      const u32 from = item * terms + term;
      const u64 a0 = row_of(a, shape, from, 0, row)[x], a1 = row_of(a, shape, from, 1, row)[x];
      const u64 b0 = row_of(b, shape, from, 0, row)[x], b1 = row_of(b, shape, from, 1, row)[x];
      s0 += a0 * b0;
      s1 += a0 * b1 + a1 * b0;
      s2 += a1 * b1;
    }
    row_of(dst, shape, item, 0, row)[x] = reduce(s0, m);
    row_of(dst, shape, item, 1, row)[x] = reduce(s1, m);
    row_of(dst, shape, item, 2, row)[x] = reduce(s2, m);
  }
}
