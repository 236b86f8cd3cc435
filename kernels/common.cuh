// What all kernels share: which rows a kernel touches, and arithmetic modulo a prime below 2^30.
//
// Compiles under NVRTC, nvcc, and a host compiler with tools/cuda-emu. Rows are canonical between kernels: integers in [0, p).
#pragma once
#ifdef CUDA_EMU
#include "cuda_emu.h"
#endif

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef short i16;
typedef int i32;
typedef long long i64;

#define KERNEL extern "C" __global__ void
// A structure among the parameters of a kernel. The emulation calls a kernel once a thread, and would spend its time on copies.
#ifdef CUDA_EMU
#define BY_VALUE(type) const type &
#else
#define BY_VALUE(type) const type
#endif
#define THREADS 256
// Words of a thread of a pointwise kernel.
#define PER_THREAD 4

// Rows of a polynomial that one launch can address.
#define MAX_ROWS 192

// What a launch runs over: blockIdx.y is a row, blockIdx.z + first an item and polynomial.
struct Shape {
  u32 log_n;
  u32 polys;
  u32 first;
  u32 rows;
  u16 prime[MAX_ROWS];
};

// Where the rows of an operand lie: [item][poly][row][n], strides in rows.
struct Rows {
  u32 *words;
  u32 item_stride;
  u32 poly_stride;
  u16 at[MAX_ROWS];
};

// A prime p < 2^30 of the basis with its constants.
struct __align__(16) Prime {
  u32 p;
  // p^-1 mod 2^32.
  u32 inverse;
  // Bits of p, k; floor(2^(2k+1) / p).
  u32 bits;
  u32 mu;
  // floor((2^64 - 1) / p).
  u64 barrett;
  // 2^32 N^-1 and 2^32 N^-1 psi^-bitrev(1), modulo p: the last stage of the inverse transform.
  u32 last_one;
  u32 last_twist;
  // 2^32 psi^(N/2) mod p: a primitive fourth root of unity, which is i in every slot.
  u32 i;
  u32 unused[3];
};

// What a kernel adds to its result: a factor times a row, where there is one.
struct Addend {
  Rows rows;
  // 2^32 c mod p, one a row.
  u32 factor[MAX_ROWS];
};
#define NO_ROW 0xffff

// The shared memory whose size the launch gives, from its start.
__device__ __forceinline__ u32 *dynamic_shared() {
#ifdef CUDA_EMU
  return (u32 *)emu::dynamic_shared;
#else
  extern __shared__ __align__(16) u32 memory[];
  return memory;
#endif
}

struct Cell {
  u32 item, poly, row;
};

__device__ __forceinline__ Cell cell_of(const Shape &shape) {
  const u32 z = blockIdx.z + shape.first;
  return {z / shape.polys, z % shape.polys, blockIdx.y};
}

// A row of 2^log_n words.
__device__ __forceinline__ u32 *row_of(const Rows &rows, u32 log_n, u32 item, u32 poly, u32 row) {
  return rows.words + ((u64)(item * rows.item_stride + poly * rows.poly_stride + rows.at[row]) << log_n);
}

__device__ __forceinline__ u32 *row_of(const Rows &rows, const Shape &shape, u32 item, u32 poly, u32 row) {
  return row_of(rows, shape.log_n, item, poly, row);
}

__device__ __forceinline__ u32 *row_of(const Rows &rows, const Shape &shape, const Cell &cell) {
  return row_of(rows, shape, cell.item, cell.poly, cell.row);
}

// min(x, x - y): x reduced once, for x < 2 y.
__device__ __forceinline__ u32 reduce_once(u32 x, u32 y) { return min(x, x - y); }

// x < 4p to its residue.
__device__ __forceinline__ u32 canonical(u32 x, u32 p) { return reduce_once(reduce_once(x, 2 * p), p); }

__device__ __forceinline__ u32 add_mod(u32 x, u32 y, u32 p) { return reduce_once(x + y, p); }
__device__ __forceinline__ u32 sub_mod(u32 x, u32 y, u32 p) { return min(x - y, x - y + p); }

// x 2^-32 mod p in (0, (x >> 32) + p], for x < 3 p 2^32 (Montgomery, 1985).
__device__ __forceinline__ u32 montgomery_lazy(u64 x, u32 p, u32 inverse) {
  return (u32)(x >> 32) - __umulhi((u32)x * inverse, p) + p;
}

// x 2^-32 mod p in (0, 3p), for x < 4 p 2^32: fifteen products of a word below 2^30 and a residue, and one of a word below 2^12.
#define TERMS 15
__device__ __forceinline__ u32 montgomery_sum(u64 x, u32 p, u32 inverse) {
  return reduce_once((u32)(x >> 32), 2 * p) - __umulhi((u32)x * inverse, p) + p;
}

// The same, canonical.
__device__ __forceinline__ u32 montgomery(u64 x, u32 p, u32 inverse) {
  return canonical(montgomery_sum(x, p, inverse), p);
}

// x w mod p, canonical, for x < 4p and w' = 2^32 w mod p.
__device__ __forceinline__ u32 mul_fixed(u32 x, u32 w, u32 p, u32 inverse) {
  return reduce_once(montgomery_lazy((u64)x * w, p, inverse), p);
}

// x mod p for x < p^2 (Barrett): q = floor(floor(x / 2^(k-2)) mu / 2^(k+3)) is the quotient or one less.
__device__ __forceinline__ u32 reduce_product(u64 x, const Prime &m) {
  const u32 q = (u32)(((u64)(u32)(x >> (m.bits - 2)) * m.mu) >> (m.bits + 3));
  return reduce_once((u32)x - q * m.p, m.p);
}

// Products of residues that a 64-bit sum holds beside one residue: 16 (2^30 - 1)^2 + 2^30 < 2^64.
#define PRODUCTS 16

// x mod p for any x.
__device__ __forceinline__ u32 reduce(u64 x, const Prime &m) {
  const u64 q = __umul64hi(x, m.barrett);
  return reduce_once((u32)(x - q * m.p), m.p);
}

// Position j of sigma_g f, e = 2 bitrev(j) + 1, is f(psi^(g e)), which f has at bitrev((g e mod 2N - 1) / 2). Low bits of a position are
// high bits of the exponent: neighbours, up to any power of two, stay neighbours.
__device__ __forceinline__ u32 source_of(u32 j, u32 g, u32 log_n) {
  const u32 exponent = 2 * (__brev(j) >> (32 - log_n)) + 1;
  const u32 moved = (g * exponent) & ((2u << log_n) - 1);
  return __brev(moved >> 1) >> (32 - log_n);
}
