// Slots to integers and residues to slots, in f64 and double-double numbers.
//
// Every butterfly has the operands and the roundings of the definition (src/arith/embed.rs, double.rs): nothing is fused but by name, so that
// integers are those of the host bit for bit. Blocks of 2^10 numbers go through their stages in shared memory, longer ones one or two
// stages a launch in registers. grid: (n / ..., 1, items).
#include "common.cuh"

#define LOG_BLOCK 10

// f64 as the definition computes with it.
struct Single {
  double hi;

  static const int WORDS = 2;
  __device__ __forceinline__ Single operator+(Single b) const { return {__dadd_rn(hi, b.hi)}; }
  __device__ __forceinline__ Single operator-(Single b) const { return {__dsub_rn(hi, b.hi)}; }
  __device__ __forceinline__ Single operator*(Single b) const { return {__dmul_rn(hi, b.hi)}; }
  static __device__ __forceinline__ Single of(double hi, double) { return {hi}; }
  // The nearest integer, halves away from zero.
  __device__ __forceinline__ i64 whole() const {
    const i64 whole = (i64)hi;
    const double rest = __dsub_rn(hi, (double)whole);
    return whole + (rest >= 0.5) - (rest <= -0.5);
  }
};

// hi + lo, |lo| <= ulp(hi) / 2 (Dekker, Knuth; src/arith/double.rs).
struct Twofold {
  double hi, lo;

  static const int WORDS = 4;
  static __device__ __forceinline__ Twofold two_sum(double a, double b) {
    const double s = __dadd_rn(a, b), t = __dsub_rn(s, a);
    return {s, __dadd_rn(__dsub_rn(a, __dsub_rn(s, t)), __dsub_rn(b, t))};
  }
  static __device__ __forceinline__ Twofold quick_two_sum(double a, double b) {
    const double s = __dadd_rn(a, b);
    return {s, __dsub_rn(b, __dsub_rn(s, a))};
  }
  // a b - fl(a b): exact, and so equal to what the definition finds with split factors.
  static __device__ __forceinline__ Twofold two_product(double a, double b) {
    const double p = __dmul_rn(a, b);
    return {p, __fma_rn(a, b, -p)};
  }
  __device__ __forceinline__ Twofold operator-() const { return {-hi, -lo}; }
  __device__ __forceinline__ Twofold operator+(Twofold b) const {
    const Twofold s = two_sum(hi, b.hi), t = two_sum(lo, b.lo);
    const Twofold first = quick_two_sum(s.hi, __dadd_rn(s.lo, t.hi));
    return quick_two_sum(first.hi, __dadd_rn(first.lo, t.lo));
  }
  __device__ __forceinline__ Twofold operator-(Twofold b) const { return *this + -b; }
  __device__ __forceinline__ Twofold operator*(Twofold b) const {
    const Twofold p = two_product(hi, b.hi);
    return quick_two_sum(p.hi, __dadd_rn(p.lo, __dadd_rn(__dmul_rn(hi, b.lo), __dmul_rn(lo, b.hi))));
  }
  static __device__ __forceinline__ Twofold of(double hi, double lo) { return {hi, lo}; }
  // The nearest integer, halves away from zero, below 2^62.
  __device__ __forceinline__ i64 whole() const {
    const bool negative = hi < 0 || (hi == 0 && lo < 0);
    const double h = negative ? -hi : hi, l = negative ? -lo : lo;
    const double below = floor(h), cut = trunc(l);
    const Twofold s = two_sum(__dsub_rn(h, below), __dsub_rn(l, cut));
    const i64 up = s.hi > 1.5 || (s.hi == 1.5 && s.lo >= 0) ? 2
                 : s.hi > 0.5 || (s.hi == 0.5 && s.lo >= 0) ? 1
                 : s.hi > -0.5 || (s.hi == -0.5 && s.lo >= 0) ? 0 : -1;
    const i64 whole = (i64)below + (i64)cut + up;
    return negative ? -whole : whole;
  }
};

// A complex number; in memory its parts follow each other. Two words at a time, written out: what a compiler makes of single ones is not the
// same each time.
template <class R>
struct Pair {
  R re, im;

  static __device__ __forceinline__ Pair load(const double *from);
  __device__ __forceinline__ void store(double *to) const;
};

template <>
__device__ __forceinline__ Pair<Single> Pair<Single>::load(const double *from) {
  const double2 both = *(const double2 *)from;
  return {{both.x}, {both.y}};
}
template <>
__device__ __forceinline__ void Pair<Single>::store(double *to) const {
  *(double2 *)to = make_double2(re.hi, im.hi);
}
template <>
__device__ __forceinline__ Pair<Twofold> Pair<Twofold>::load(const double *from) {
  const double2 re = *(const double2 *)from, im = *(const double2 *)(from + 2);
  return {{re.x, re.y}, {im.x, im.y}};
}
template <>
__device__ __forceinline__ void Pair<Twofold>::store(double *to) const {
  *(double2 *)to = make_double2(re.hi, re.lo);
  *(double2 *)(to + 2) = make_double2(im.hi, im.lo);
}

// Number i of an array: of slots as they come from the host, or of what an earlier launch left.
template <class R>
__device__ __forceinline__ Pair<R> number(const double *from, u32 i, bool raw) {
  if (!raw) return Pair<R>::load(from + R::WORDS * i);
  const double2 slot = *(const double2 *)(from + 2 * i);
  return {R::of(slot.x, 0), R::of(slot.y, 0)};
}

// (u + v, (u - v) conj(x)).
template <class R>
__device__ __forceinline__ void to_coefficients(Pair<R> &u, Pair<R> &v, const Pair<R> &x) {
  const Pair<R> d = {u.re - v.re, u.im - v.im};
  u = {u.re + v.re, u.im + v.im};
  v = {d.re * x.re + d.im * x.im, d.im * x.re - d.re * x.im};
}

// (u + x v, u - x v).
template <class R>
__device__ __forceinline__ void to_slots(Pair<R> &u, Pair<R> &v, const Pair<R> &x) {
  const Pair<R> turned = {v.re * x.re - v.im * x.im, v.re * x.im + v.im * x.re};
  v = {u.re - turned.re, u.im - turned.im};
  u = {u.re + turned.re, u.im + turned.im};
}

// Stages of butterflies in registers: 2^A numbers a thread, blocks of `length` at the longest. Twiddles of blocks of len are those from
// len / 2 on.
template <class R, int A, bool FORWARD>
__device__ __forceinline__ void embed_outer(const double *from, double *to, const double *__restrict__ twiddles, u32 slots,
                                            u32 length, u32 raw) {
  const u32 k = blockIdx.x * THREADS + threadIdx.x, stride = length >> A;
  if (k >= slots >> A) return;
  const u32 j = k % stride, first = k / stride * length + j;
  from += (u64)blockIdx.z * slots * (raw ? 2 : R::WORDS);
  to += (u64)blockIdx.z * slots * R::WORDS;
  Pair<R> held[1 << A];
#pragma unroll
  for (int i = 0; i < 1 << A; i++) held[i] = number<R>(from, first + i * stride, raw);
#pragma unroll
  for (int s = 0; s < A; s++) {
    // Halves of blocks in numbers of this thread, from long to short or the other way.
    const int half = FORWARD ? 1 << s : (1 << A) >> (s + 1);
#pragma unroll
    for (int b = 0; b < (1 << A) / 2; b++) {
      const int low = b % half, i = b / half * 2 * half + low;
      const Pair<R> x = Pair<R>::load(twiddles + R::WORDS * (half * stride + low * stride + j));
      if (FORWARD) to_slots(held[i], held[i + half], x);
      else to_coefficients(held[i], held[i + half], x);
    }
  }
#pragma unroll
  for (int i = 0; i < 1 << A; i++) held[i].store(to + R::WORDS * (first + i * stride));
}

#define EMBED_OUTER(name, R, A, FORWARD)                                                                                      \
  KERNEL __launch_bounds__(THREADS, 4)                                                                                       \
  name##_##A(BY_VALUE(Shape), const double *from, double *to, const double *__restrict__ twiddles, const u32 slots,              \
             const u32 length, const u32 raw) {                                                                              \
    embed_outer<R, A, FORWARD>(from, to, twiddles, slots, length, raw);                                                      \
  }
EMBED_OUTER(embed_outer_single, Single, 1, false)
EMBED_OUTER(embed_outer_single, Single, 2, false)
EMBED_OUTER(embed_outer_twofold, Twofold, 1, false)
EMBED_OUTER(unembed_outer, Single, 1, true)
EMBED_OUTER(unembed_outer, Single, 2, true)

// All stages of blocks of `length` numbers, 2^10 at most, in shared memory.
template <class R, bool FORWARD>
__device__ __forceinline__ double *embed_block(const double *from, const double *__restrict__ twiddles, u32 length, bool raw) {
  double *block = (double *)dynamic_shared();
  for (u32 i = threadIdx.x; i < length; i += THREADS)
    number<R>(from, blockIdx.x * length + i, raw).store(block + R::WORDS * i);
  for (u32 s = 2; s <= length; s *= 2) {
    const u32 half = FORWARD ? s / 2 : length / s;
    __syncthreads();
    for (u32 b = threadIdx.x; b < length / 2; b += THREADS) {
      const u32 j = b % half, i = b / half * 2 * half + j;
      double *at = block + R::WORDS * i, *to = at + R::WORDS * half;
      Pair<R> u = Pair<R>::load(at), v = Pair<R>::load(to);
      const Pair<R> x = Pair<R>::load(twiddles + R::WORDS * (half + j));
      if (FORWARD) to_slots(u, v, x);
      else to_coefficients(u, v, x);
      u.store(at);
      v.store(to);
    }
  }
  __syncthreads();
  return block;
}

// The last stages of slots to coefficients, and integers: real parts, then imaginary ones, `slots` of each an item.
template <class R>
__device__ __forceinline__ void embed_inner(const double *from, i64 *to, const double *__restrict__ twiddles, u32 log_slots,
                                            double factor_hi, double factor_lo, u32 raw) {
  const u32 slots = 1u << log_slots, length = min(slots, 1u << LOG_BLOCK);
  from += (u64)blockIdx.z * slots * (raw ? 2 : R::WORDS);
  to += (u64)blockIdx.z * slots * 2;
  const double *block = embed_block<R, false>(from, twiddles, length, raw);
  const R factor = R::of(factor_hi, factor_lo);
  for (u32 i = threadIdx.x; i < length; i += THREADS) {
    const Pair<R> w = Pair<R>::load(block + R::WORDS * i);
    const u32 k = log_slots ? __brev(blockIdx.x * length + i) >> (32 - log_slots) : 0;
    to[k] = (w.re * factor).whole();
    to[slots + k] = (w.im * factor).whole();
  }
}

KERNEL __launch_bounds__(THREADS)
embed_inner_single(BY_VALUE(Shape), const double *from, i64 *to, const double *__restrict__ twiddles, const u32 log_slots,
                   const double factor_hi, const double factor_lo, const u32 raw) {
  embed_inner<Single>(from, to, twiddles, log_slots, factor_hi, factor_lo, raw);
}

KERNEL __launch_bounds__(THREADS)
embed_inner_twofold(BY_VALUE(Shape), const double *from, i64 *to, const double *__restrict__ twiddles, const u32 log_slots,
                    const double factor_hi, const double factor_lo, const u32 raw) {
  embed_inner<Twofold>(from, to, twiddles, log_slots, factor_hi, factor_lo, raw);
}

// The first stages of coefficients to slots, in place.
KERNEL __launch_bounds__(THREADS)
unembed_inner(BY_VALUE(Shape), double *numbers, const double *__restrict__ twiddles, const u32 slots) {
  const u32 length = min(slots, 1u << LOG_BLOCK);
  numbers += (u64)blockIdx.z * slots * 2;
  const double *block = embed_block<Single, true>(numbers, twiddles, length, false);
  for (u32 i = threadIdx.x; i < length; i += THREADS)
    Pair<Single>::load(block + 2 * i).store(numbers + 2 * (blockIdx.x * length + i));
}

// Balanced mixed-radix digits of a coefficient and their sum over the scale (src/ring/mixed_radix.rs).
//
// `constants`: start, own, then the `rows` factors of lower digits, for each row; `values`: M_i over the scale, for the first `known` digits.
// Slot k is put at bitrev(k). `beyond` becomes 1 if a digit beyond the known ones is not zero. grid: (slots / DECODERS, 1, items). Digits of a
// thread lie in its own places: the first KEPT_DIGITS in shared memory, of which half of the warps then have enough, the others in
// `spilled`, [item][digit][slot].
#define DECODERS 128
#define KEPT_DIGITS 38
KERNEL __launch_bounds__(DECODERS)
decode_lift(BY_VALUE(Shape) shape, BY_VALUE(Rows) src, double *slots_out, u32 *spilled, const u32 *__restrict__ constants,
            const double *__restrict__ values, const u32 known, const u32 log_slots, u32 *beyond,
            const Prime *__restrict__ primes) {
  u32 *digits = dynamic_shared() + threadIdx.x;
  const u32 slots = 1u << log_slots, k = blockIdx.x * DECODERS + threadIdx.x, item = blockIdx.z + shape.first;
  if (k >= slots) return;
  const u32 half = 1u << (shape.log_n - 1), gap = half >> log_slots;
  if (shape.rows > KEPT_DIGITS) spilled += (((u64)item * (shape.rows - KEPT_DIGITS)) << log_slots) + k;
  const auto digit_at = [&](u32 j) -> u32 {
    return j < KEPT_DIGITS ? digits[j * DECODERS] : spilled[(u64)(j - KEPT_DIGITS) << log_slots];
  };
  double *to = slots_out + 2 * ((u64)item * slots + (log_slots ? __brev(k) >> (32 - log_slots) : 0));
  for (u32 part = 0; part < 2; part++) {
    const u32 x = part * half + k * gap;
    u32 used = 0;
    for (u32 i = 0; i < shape.rows; i++) {
      const u32 *c = constants + i * (shape.rows + 2);
      const Prime m = primes[shape.prime[i]];
      u64 sum = c[0] + (u64)row_of(src, shape, item, 0, i)[x] * c[1];
      for (u32 j = 0; j < i; j++) {
        if (j && j % (TERMS - 1) == 0) sum = reduce(sum, m);
        sum += (u64)digit_at(j) * c[2 + j];
      }
      const u32 digit = reduce(sum, m);
      if (i < KEPT_DIGITS) digits[i * DECODERS] = digit;
      else spilled[(u64)(i - KEPT_DIGITS) << log_slots] = digit;
      if (digit != (m.p - 1) / 2) used = i + 1;
    }
    if (used > known) {
      atomicOr(beyond, 1u);
      used = known;
    }
    Twofold sum = {0, 0};
    while (used-- > 0) {
      const i32 digit = (i32)digit_at(used) - (i32)((primes[shape.prime[used]].p - 1) / 2);
      const Twofold p = Twofold::two_product(values[2 * used], digit);
      sum = sum + Twofold::quick_two_sum(p.hi, __dadd_rn(p.lo, __dmul_rn(values[2 * used + 1], digit)));
    }
    to[part] = sum.hi;
  }
}
