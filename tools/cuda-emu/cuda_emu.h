// The part of CUDA C++ that the kernels use, for a host compiler: include before a .cu file and compile with -DCUDA_EMU.
//
// A thread of a block is a fiber; a block runs on one thread of the operating system. Function follows CUDA's rules for barriers and
// warps, and breaks of these rules end the process with a table of the threads. Time and memory order between blocks are not modelled.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ static __thread
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __restrict__ __restrict
#define __align__(bytes) alignas(bytes)

struct uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(16) double2 { double x, y; };
struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline double2 make_double2(double x, double y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

namespace emu {

// What a kernel can ask about the thread that runs it.
struct Place {
  uint3 thread, block;
  dim3 block_size, grid_size;
};
extern __thread const Place *here;
// Dynamic shared memory of the block that runs.
extern __thread unsigned char *dynamic_shared;

void block_barrier(int line);
void warp_barrier(unsigned mask, int line);
// The value that `lane` of this warp gave; the own one where there is no such lane.
uint64_t exchange(unsigned mask, uint64_t value, int lane, int line);

// A kernel by name, with what turns the array of argument addresses into a call.
struct Kernel {
  const char *name;
  void *function;
  void (*call)(void *function, void **arguments);
  // Sizes of the arguments, ended by 0.
  const size_t *sizes;
  const Kernel *next;
};
extern const Kernel *kernels;

void launch(const Kernel &kernel, void **arguments, dim3 grid, dim3 block, size_t shared_bytes);

template <class... A, size_t... I>
void apply(void (*f)(A...), void **arguments, std::index_sequence<I...>) {
  f(*(std::remove_reference_t<A> *)arguments[I]...);
}
template <class... A>
void call(void *f, void **arguments) {
  apply((void (*)(A...))f, arguments, std::index_sequence_for<A...>{});
}
template <class... A>
struct Sizes {
  static constexpr size_t value[] = {sizeof(A)..., 0};
};
struct Registration {
  Kernel kernel;
  template <class... A>
  Registration(const char *name, void (*f)(A...)) : kernel{name, (void *)f, call<A...>, Sizes<A...>::value, kernels} {
    kernels = &kernel;
  }
};

}  // namespace emu

#define EMU_REGISTER(name) static emu::Registration emu_registration_##name(#name, name);

#define threadIdx (emu::here->thread)
#define blockIdx (emu::here->block)
#define blockDim (emu::here->block_size)
#define gridDim (emu::here->grid_size)

#define __syncthreads() emu::block_barrier(__LINE__)
#define __syncwarp(...) emu::warp_barrier(0xffffffffu, __LINE__)
#define __shfl_sync(mask, value, lane) emu_shuffle(mask, value, (lane) & 31, __LINE__)
#define __shfl_xor_sync(mask, value, bits) emu_shuffle(mask, value, int(threadIdx.x & 31) ^ (bits), __LINE__)

template <class T>
static inline T emu_shuffle(unsigned mask, T value, int lane, int line) {
  static_assert(sizeof(T) <= 8);
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof(T));
  bits = emu::exchange(mask, bits, lane, line);
  memcpy(&value, &bits, sizeof(T));
  return value;
}

static inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
static inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
static inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
static inline unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int i = 0; i < 32; i++) reversed |= ((x >> i) & 1u) << (31 - i);
  return reversed;
}
static inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned by) {
  by &= 31;
  return by ? (high << by) | (low >> (32 - by)) : high;
}
template <class T>
static inline T __ldg(const T *p) { return *p; }
static inline unsigned atomicOr(unsigned *at, unsigned bits) { return __atomic_fetch_or(at, bits, __ATOMIC_RELAXED); }

// Compiled without contraction: each is one rounding.
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dsub_rn(double a, double b) { return a - b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
