// Operands of the terms of a sum, as many as it has.
//
// `factors`: the operands of all terms, one after the other; behind them, for each, the positions of its rows.
#pragma once
#include "common.cuh"

// An operand of a term: its memory, and strides in rows.
struct __align__(16) Factor {
  u32 *words;
  u32 item_stride;
  u32 poly_stride;
};

// Positions of the rows of `count` factors.
__device__ __forceinline__ const u32 *positions_of(const Factor *factors, u32 count) { return (const u32 *)(factors + count); }

// A row of factor k.
__device__ __forceinline__ const u32 *row_of(const Factor *factors, const u32 *at, u32 k, const Shape &shape, u32 item, u32 poly,
                                             u32 row) {
  const Factor f = factors[k];
  return f.words + ((u64)(item * f.item_stride + poly * f.poly_stride + at[k * shape.rows + row]) << shape.log_n);
}
