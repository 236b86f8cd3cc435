// The negacyclic transform in two passes over memory, and in one for small rings.
//
// A pass works on tiles: 2^S rows by 2^(LOG_TILE - S) lanes, S the stages of the pass. The outer pass takes the stages with
// butterflies 512 apart and more: a lane is a column, its rows are N / 2^S words apart. The inner pass takes the last nine stages: a lane
// is 512 neighbours. Each thread holds 2^LOG_HELD words, and as many stages as that allows run in registers; then words change hands
// through shared memory. A stage is a template, or the compiler keeps loops over stages rolled and selects registers by moves.
//
// Twiddles of node i (2^32 psi^bitrev(i) mod p) are stored in the order of nodes: stage t of a lane whose subtree has the root `node` uses
// (node << t) + (row >> (S - t)). Values are lazy, below 4p down and below 2p up (Harvey, arXiv 1205.2926).
#pragma once
#include "common.cuh"

// Words of a block's tile and of a thread, as log2.
template <int LOG_TILE_, int LOG_HELD_>
struct Geometry {
  static const int LOG_TILE = LOG_TILE_, LOG_HELD = LOG_HELD_, HELD = 1 << LOG_HELD_;
  static const u32 THREADS_A_TILE = 1u << (LOG_TILE_ - LOG_HELD_);
};
// The outer pass alone, behind a base conversion (a quarter of the block), and the inner pass.
typedef Geometry<12, 4> Outer;
typedef Geometry<10, 3> Quarter;
typedef Geometry<11, 3> Inner;

#define INNER_STAGES 9
// One word of padding after each 16 keeps accesses of a warp in different banks.
#define PADDED(i) ((i) + ((i) >> 4))
#define TILE_WORDS(G) PADDED(1 << G::LOG_TILE)

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

// Where words lie, and whose they are: what the functions of a pass share.
struct Place {
  const u32 *twiddles;
  u32 *tile;
  // `block`: which tile of the row it is.
  u32 log_n, thread, block;
};

// How a thread's words lie in a tile during the round of stages T .. T + A of S.
template <class G, int S, int T, int A, bool OUTER>
struct Round {
  static const int LOW = S - T - A, LANES = G::LOG_TILE - S, GROUPS = G::HELD >> A;

  u32 lane, high, low;

  // Group k of a thread. Neighbouring threads have neighbouring words.
  __device__ __forceinline__ Round(int k, u32 thread) {
    const u32 group = thread + G::THREADS_A_TILE * k;
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
template <class G, int S, bool OUTER>
struct Lane {
  u32 node, first, stride;

  __device__ __forceinline__ Lane(u32 lane, const Place &at) {
    const u32 index = (at.block << (G::LOG_TILE - S)) + lane;
    node = OUTER ? 1 : (1u << (at.log_n - S)) + index;
    first = OUTER ? index : index << S;
    stride = OUTER ? 1u << (at.log_n - S) : 1;
  }

  __device__ __forceinline__ u32 at(u32 row) const { return first + row * stride; }
};

// The twiddle of node (root << t) + h. The last stages of a lane have nearly as many nodes as words; since bit reversals of disjoint bits
// add, psi^bitrev((root << t) + h) is the product of that of root << t, one for the lane, and of that of h, the same for all lanes.
template <bool DERIVED>
__device__ __forceinline__ u32 twiddle(const u32 *__restrict__ twiddles, u32 root, u32 h, const Prime &m) {
  if (!DERIVED) return __ldg(twiddles + root + h);
  return mul_fixed(__ldg(twiddles + h), __ldg(twiddles + root), m.p, m.inverse);
}

// Stage J of a round: butterflies of words HALF apart in registers.
template <class G, int S, int T, int A, int J, bool OUTER, bool FORWARD>
__device__ __forceinline__ void stage(u32 (&held)[G::HELD], const Place &at, const Prime &m) {
  typedef Round<G, S, T, A, OUTER> Here;
  constexpr int half = (1 << A) >> (J + 1);
  constexpr bool derived = !OUTER && T + G::LOG_HELD == S;
#pragma unroll
  for (int k = 0; k < Here::GROUPS; k++) {
    const Here here(k, at.thread);
    const u32 root = Lane<G, S, OUTER>(here.lane, at).node << (T + J), h = here.high << J;
#pragma unroll
    for (int b = 0; b < (1 << A) / 2; b++) {
      const int g = b / half, i = (k << A) + 2 * g * half + b % half;
      const u32 w = twiddle<derived>(at.twiddles, root, h + g, m);
      if (FORWARD) down(held[i], held[i + half], w, m);
      else up(held[i], held[i + half], w, m);
    }
  }
}

template <class G, int S, int T, int A, bool OUTER>
__device__ __forceinline__ void round_down(u32 (&held)[G::HELD], const Place &at, const Prime &m) {
  stage<G, S, T, A, 0, OUTER, true>(held, at, m);
  if constexpr (A > 1) stage<G, S, T, A, 1, OUTER, true>(held, at, m);
  if constexpr (A > 2) stage<G, S, T, A, 2, OUTER, true>(held, at, m);
  if constexpr (A > 3) stage<G, S, T, A, 3, OUTER, true>(held, at, m);
}

// Without stage 0 if SKIP: the last of the inverse transform, which has its own factors.
template <class G, int S, int T, int A, bool OUTER, bool SKIP>
__device__ __forceinline__ void round_up(u32 (&held)[G::HELD], const Place &at, const Prime &m) {
  if constexpr (A > 3) stage<G, S, T, A, 3, OUTER, false>(held, at, m);
  if constexpr (A > 2) stage<G, S, T, A, 2, OUTER, false>(held, at, m);
  if constexpr (A > 1) stage<G, S, T, A, 1, OUTER, false>(held, at, m);
  if constexpr (!SKIP) stage<G, S, T, A, 0, OUTER, false>(held, at, m);
}

// Calls `f(word, row of the tile, place in shared memory, lane)` for each word that a thread holds.
template <class G, int S, int T, int A, bool OUTER, class F>
__device__ __forceinline__ void each(u32 (&held)[G::HELD], const Place &at, F f) {
#pragma unroll
  for (int k = 0; k < G::HELD >> A; k++) {
    const Round<G, S, T, A, OUTER> here(k, at.thread);
    const Lane<G, S, OUTER> lane(here.lane, at);
#pragma unroll
    for (int i = 0; i < 1 << A; i++) f(held[(k << A) + i], lane.at(here.row(i)), here.place(i));
  }
}

template <class G, int S, int T, int A, bool OUTER>
__device__ __forceinline__ void to_shared(u32 (&held)[G::HELD], const Place &at) {
  each<G, S, T, A, OUTER>(held, at, [&](u32 x, u32, u32 place) { at.tile[place] = x; });
}

template <class G, int S, int T, int A, bool OUTER>
__device__ __forceinline__ void from_shared(u32 (&held)[G::HELD], const Place &at) {
  each<G, S, T, A, OUTER>(held, at, [&](u32 &x, u32, u32 place) { x = at.tile[place]; });
}

template <class G, int S, int T, int A, bool OUTER>
__device__ __forceinline__ void from_global(u32 (&held)[G::HELD], const u32 *row, const Place &at) {
  each<G, S, T, A, OUTER>(held, at, [&](u32 &x, u32 word, u32) { x = row[word]; });
}

template <class G, int S, int T, int A, bool OUTER>
__device__ __forceinline__ void to_global(u32 (&held)[G::HELD], u32 *row, const Place &at) {
  each<G, S, T, A, OUTER>(held, at, [&](u32 x, u32 word, u32) { row[word] = x; });
}

// Stages of the first round of a pass: what full rounds leave over.
#define FIRST(G, S) (((S) - 1) % G::LOG_HELD + 1)
// Where the last round of a pass begins, and its stages.
#define LAST_ROUND(G, S) ((S) > G::LOG_HELD ? (S) - G::LOG_HELD : 0), ((S) > G::LOG_HELD ? G::LOG_HELD : (S))

// The stages of a pass downwards from stage T on, at which a round begins; the words end in registers, placed as in the last round.
//
// Between two rounds a thread writes where it read before, so that one barrier is enough.
template <class G, int S, int T, bool OUTER>
__device__ __forceinline__ void pass_down(u32 (&held)[G::HELD], const Place &at, const Prime &m) {
  constexpr int A = T ? G::LOG_HELD : FIRST(G, S);
  round_down<G, S, T, A, OUTER>(held, at, m);
  if constexpr (T + A < S) {
    to_shared<G, S, T, A, OUTER>(held, at);
    __syncthreads();
    from_shared<G, S, T + A, G::LOG_HELD, OUTER>(held, at);
    pass_down<G, S, T + A, OUTER>(held, at, m);
  }
}

// The stages of a pass upwards from the round that begins at stage T, but for the last of all if SKIP; the words end in registers, placed
// as in the first round.
template <class G, int S, int T, bool OUTER, bool SKIP>
__device__ __forceinline__ void pass_up(u32 (&held)[G::HELD], const Place &at, const Prime &m) {
  constexpr int A = T ? G::LOG_HELD : FIRST(G, S);
  round_up<G, S, T, A, OUTER, SKIP && T == 0>(held, at, m);
  if constexpr (T > 0) {
    constexpr int B = T > G::LOG_HELD ? G::LOG_HELD : FIRST(G, S);
    to_shared<G, S, T, A, OUTER>(held, at);
    __syncthreads();
    from_shared<G, S, T - B, B, OUTER>(held, at);
    pass_up<G, S, T - B, OUTER, SKIP>(held, at, m);
  }
}

// Eight neighbours, which a thread of the inner pass holds after its last round and before its first one upwards.
__device__ __forceinline__ void load_eight(u32 (&held)[8], const u32 *from) {
  const uint4 low = *(const uint4 *)from, high = *(const uint4 *)(from + 4);
  held[0] = low.x, held[1] = low.y, held[2] = low.z, held[3] = low.w;
  held[4] = high.x, held[5] = high.y, held[6] = high.z, held[7] = high.w;
}

__device__ __forceinline__ void store_eight(const u32 (&held)[8], u32 *to) {
  *(uint4 *)to = make_uint4(held[0], held[1], held[2], held[3]);
  *(uint4 *)(to + 4) = make_uint4(held[4], held[5], held[6], held[7]);
}

// The inner pass of one row downwards, from what the outer pass left at `from`: words 8 thread .. 8 thread + 8 of the tile, canonical.
__device__ __forceinline__ void inner_down(u32 (&held)[8], const u32 *from, const Place &at, const Prime &m) {
  from_global<Inner, INNER_STAGES, 0, FIRST(Inner, INNER_STAGES), false>(held, from, at);
  pass_down<Inner, INNER_STAGES, 0, false>(held, at, m);
#pragma unroll
  for (int i = 0; i < 8; i++) held[i] = canonical(held[i], m.p);
}
