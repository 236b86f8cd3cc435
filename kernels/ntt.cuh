// The negacyclic transform in two passes over memory, and in one for small rings.
//
// Both passes work on tiles of 4096 words: 2^S rows of the tile by 2^(12-S) lanes, S the stages of the pass. The outer pass
// takes the stages with butterflies 256 apart and more: a lane is a column, its rows are N / 2^S words apart. The inner pass takes the
// last eight stages: a lane is 256 neighbours. Each thread holds 16 words; up to four stages run in registers, then words change
// hands through shared memory. A stage is a template, or the compiler keeps loops over stages rolled and selects registers by moves.
//
// Twiddles of node i (2^32 psi^bitrev(i) mod p) are stored in the order of nodes: stage t of a lane whose subtree has the root `node` uses
// (node << t) + (row >> (S - t)). Values are lazy, below 4p down and below 2p up (Harvey, arXiv 1205.2926).
#pragma once
#include "common.cuh"

#define LOG_TILE 12
#define HELD 16
#define INNER_STAGES 8
// One word of padding after each 16 keeps accesses of a warp in different banks.
#define PADDED(i) ((i) + ((i) >> 4))
#define TILE_WORDS PADDED(1 << LOG_TILE)

__device__ __forceinline__ void down(u32 &x, u32 &y, u32 w, const Prime &m) {
  const u32 u = reduce_once(x, 2 * m.p);
  const u32 v = montgomery_lazy((u64)y * w, m.p, m.inverse);
  x = u + v;
  y = u + 2 * m.p - v;
}

__device__ __forceinline__ void up(u32 &x, u32 &y, u32 w, const Prime &m) {
  const u32 sum = x + y, difference = x + 2 * m.p - y;
  x = reduce_once(sum, 2 * m.p);
  y = montgomery_lazy((u64)difference * w, m.p, m.inverse);
}

// How a thread's words lie in a tile during the round of stages T .. T + A of S.
template <int S, int T, int A, bool OUTER>
struct Round {
  static const int LOW = S - T - A, LANES = LOG_TILE - S, GROUPS = HELD >> A;

  u32 lane, high, low;

  // Group k of this thread. Neighbouring threads have neighbouring words.
  __device__ __forceinline__ Round(int k) {
    const u32 group = threadIdx.x + THREADS * k;
    const u32 rest = OUTER ? group >> LANES : group & ((1u << (S - A)) - 1);
    lane = OUTER ? group & ((1u << LANES) - 1) : group >> (S - A);
    high = rest >> LOW;
    low = rest & ((1u << LOW) - 1);
  }

  // The row of the tile of word `i` of the group.
  __device__ __forceinline__ u32 row(u32 i) const { return (((high << A) + i) << LOW) + low; }

  // Its place in shared memory.
  __device__ __forceinline__ u32 place(u32 i) const {
    return PADDED(OUTER ? (row(i) << LANES) + lane : (lane << S) + row(i));
  }
};

// Which subtree a lane is, and where its words lie in the row of residues.
template <int S, bool OUTER>
struct Lane {
  u32 node, first, stride;

  __device__ __forceinline__ Lane(u32 lane, u32 log_n) {
    const u32 index = (blockIdx.x << (LOG_TILE - S)) + lane;
    node = OUTER ? 1 : (1u << (log_n - S)) + index;
    first = OUTER ? index : index << S;
    stride = OUTER ? 1u << (log_n - S) : 1;
  }

  __device__ __forceinline__ u32 at(u32 row) const { return first + row * stride; }
};

// Stage J of a round: butterflies of words HALF apart in registers.
template <int S, int T, int A, int J, bool OUTER, bool FORWARD>
__device__ __forceinline__ void stage(u32 (&held)[HELD], const u32 *__restrict__ twiddles, u32 log_n, const Prime &m) {
  typedef Round<S, T, A, OUTER> Here;
  constexpr int half = (1 << A) >> (J + 1);
#pragma unroll
  for (int k = 0; k < Here::GROUPS; k++) {
    const Here here(k);
    const u32 node = (Lane<S, OUTER>(here.lane, log_n).node << (T + J)) + (here.high << J);
#pragma unroll
    for (int b = 0; b < (1 << A) / 2; b++) {
      const int g = b / half, i = (k << A) + 2 * g * half + b % half;
      const u32 w = __ldg(twiddles + node + g);
      if (FORWARD) down(held[i], held[i + half], w, m);
      else up(held[i], held[i + half], w, m);
    }
  }
}

template <int S, int T, int A, bool OUTER>
__device__ __forceinline__ void round_down(u32 (&held)[HELD], const u32 *__restrict__ twiddles, u32 log_n,
                                           const Prime &m) {
  stage<S, T, A, 0, OUTER, true>(held, twiddles, log_n, m);
  if constexpr (A > 1) stage<S, T, A, 1, OUTER, true>(held, twiddles, log_n, m);
  if constexpr (A > 2) stage<S, T, A, 2, OUTER, true>(held, twiddles, log_n, m);
  if constexpr (A > 3) stage<S, T, A, 3, OUTER, true>(held, twiddles, log_n, m);
}

// Without stage 0 if SKIP: the last of the inverse transform, which has its own factors.
template <int S, int T, int A, bool OUTER, bool SKIP>
__device__ __forceinline__ void round_up(u32 (&held)[HELD], const u32 *__restrict__ twiddles, u32 log_n,
                                         const Prime &m) {
  if constexpr (A > 3) stage<S, T, A, 3, OUTER, false>(held, twiddles, log_n, m);
  if constexpr (A > 2) stage<S, T, A, 2, OUTER, false>(held, twiddles, log_n, m);
  if constexpr (A > 1) stage<S, T, A, 1, OUTER, false>(held, twiddles, log_n, m);
  if constexpr (!SKIP) stage<S, T, A, 0, OUTER, false>(held, twiddles, log_n, m);
}

template <int S, int T, int A, bool OUTER>
__device__ __forceinline__ void to_shared(const u32 (&held)[HELD], u32 *tile) {
#pragma unroll
  for (int k = 0; k < HELD >> A; k++) {
    const Round<S, T, A, OUTER> here(k);
#pragma unroll
    for (int i = 0; i < 1 << A; i++) tile[here.place(i)] = held[(k << A) + i];
  }
}

template <int S, int T, int A, bool OUTER>
__device__ __forceinline__ void from_shared(u32 (&held)[HELD], const u32 *tile) {
#pragma unroll
  for (int k = 0; k < HELD >> A; k++) {
    const Round<S, T, A, OUTER> here(k);
#pragma unroll
    for (int i = 0; i < 1 << A; i++) held[(k << A) + i] = tile[here.place(i)];
  }
}

template <int S, int T, int A, bool OUTER>
__device__ __forceinline__ void from_global(u32 (&held)[HELD], const u32 *row, u32 log_n) {
#pragma unroll
  for (int k = 0; k < HELD >> A; k++) {
    const Round<S, T, A, OUTER> here(k);
    const Lane<S, OUTER> lane(here.lane, log_n);
#pragma unroll
    for (int i = 0; i < 1 << A; i++) held[(k << A) + i] = row[lane.at(here.row(i))];
  }
}

template <int S, int T, int A, bool OUTER>
__device__ __forceinline__ void to_global(const u32 (&held)[HELD], u32 *row, u32 log_n) {
#pragma unroll
  for (int k = 0; k < HELD >> A; k++) {
    const Round<S, T, A, OUTER> here(k);
    const Lane<S, OUTER> lane(here.lane, log_n);
#pragma unroll
    for (int i = 0; i < 1 << A; i++) row[lane.at(here.row(i))] = held[(k << A) + i];
  }
}

// Stages of the first round of a pass: what four a round leave over.
#define FIRST(S) (((S) - 1) % 4 + 1)

// The stages of a pass downwards, from row `from`; the words end in registers, placed as in the last round.
template <int S, bool OUTER>
__device__ __forceinline__ void pass_down(u32 (&held)[HELD], u32 *tile, const u32 *from, const u32 *__restrict__ twiddles,
                                          u32 log_n, const Prime &m) {
  constexpr int A = FIRST(S);
  from_global<S, 0, A, OUTER>(held, from, log_n);
  round_down<S, 0, A, OUTER>(held, twiddles, log_n, m);
  if constexpr (S > A) {
    to_shared<S, 0, A, OUTER>(held, tile);
    __syncthreads();
    from_shared<S, A, 4, OUTER>(held, tile);
    round_down<S, A, 4, OUTER>(held, twiddles, log_n, m);
  }
  if constexpr (S > A + 4) {
    __syncthreads();
    to_shared<S, A, 4, OUTER>(held, tile);
    __syncthreads();
    from_shared<S, A + 4, 4, OUTER>(held, tile);
    round_down<S, A + 4, 4, OUTER>(held, twiddles, log_n, m);
  }
}

// The stages of a pass upwards, but for the last of all if SKIP; the words end in registers, placed as in the first round.
template <int S, bool OUTER, bool SKIP>
__device__ __forceinline__ void pass_up(u32 (&held)[HELD], u32 *tile, const u32 *__restrict__ twiddles, u32 log_n,
                                        const Prime &m) {
  constexpr int A = FIRST(S);
  if constexpr (S > A + 4) {
    round_up<S, A + 4, 4, OUTER, false>(held, twiddles, log_n, m);
    to_shared<S, A + 4, 4, OUTER>(held, tile);
    __syncthreads();
    from_shared<S, A, 4, OUTER>(held, tile);
    __syncthreads();
  }
  if constexpr (S > A) {
    round_up<S, A, 4, OUTER, false>(held, twiddles, log_n, m);
    to_shared<S, A, 4, OUTER>(held, tile);
    __syncthreads();
    from_shared<S, 0, A, OUTER>(held, tile);
  }
  round_up<S, 0, A, OUTER, SKIP>(held, twiddles, log_n, m);
}

// The round in which a pass downwards ends, and one upwards begins.
#define LAST_ROUND(S) S, ((S) > 4 ? (S) - 4 : 0), ((S) > 4 ? 4 : (S))
