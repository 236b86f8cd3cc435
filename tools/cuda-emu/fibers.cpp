// Blocks of fibers: how the emulator runs a grid.
//
// EMU_SEED: order in which the threads of a block run between barriers: 0 ascending (default), 1 descending, 2 and up shuffled.
// EMU_THREADS: threads of the operating system that blocks are shared out to (default 1).
//
// Under the thread sanitizer every fiber is a logical thread of its own, ordered with others only by barriers, so that a
// missing barrier is reported as a race. Begin, end, and successive barriers are objects of their own: with one object for two barriers, a
// release of the first would hide a race after it.
#include "cuda_emu.h"
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <sys/mman.h>
#include <thread>
#include <vector>

#if defined(EMU_TSAN)
extern "C" {
void *__tsan_get_current_fiber();
void *__tsan_create_fiber(unsigned);
void __tsan_switch_to_fiber(void *, unsigned);
void __tsan_acquire(void *);
void __tsan_release(void *);
}
#define ON_TSAN(statement) statement
#else
#define ON_TSAN(statement)
#endif
#if defined(__SANITIZE_ADDRESS__)
extern "C" {
void __sanitizer_start_switch_fiber(void **, const void *, size_t);
void __sanitizer_finish_switch_fiber(void *, const void **, size_t *);
}
#define ON_ASAN(statement) statement
#else
#define ON_ASAN(statement)
#endif

#if !defined(__x86_64__)
#error "the switch of stacks is written for x86-64"
#endif

// Saves the registers that a callee keeps and the stack, and takes up those of `to`.
extern "C" void emu_switch(void **save, void *to);
asm(R"(
.text
.globl emu_switch
.hidden emu_switch
.type emu_switch,@function
emu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emu_switch,.-emu_switch
)");

namespace emu {

__thread const Place *here;
__thread unsigned char *dynamic_shared;
const Kernel *kernels;

static const size_t STACK = 64 << 10, GUARD = 4096;
static const unsigned WARP = 32;

enum class State { Ready, AtBlockBarrier, AtWarpBarrier, Done };
static const char *name_of(State s) {
  static const char *const names[] = {"ready", "at __syncthreads", "at a warp operation", "done"};
  return names[int(s)];
}

struct Fiber {
  Place place;
  void *stack_pointer;
  char *stack;
  State state;
  int line;
  unsigned mask;
  // Values given to the warp and objects of its barriers; two of each, used in turn.
  uint64_t given[2];
  unsigned exchanges, block_barriers, warp_barriers;
  void *tsan;
};

struct Worker {
  std::vector<Fiber *> fibers;
  std::vector<unsigned> order;
  unsigned threads = 0;
  void *home = nullptr, *tsan_home = nullptr, *asan_fake = nullptr;
  const void *home_bottom = nullptr;
  size_t home_size = 0;
  const Kernel *kernel = nullptr;
  void **arguments = nullptr;
  char begin = 0, end = 0, barriers[2] = {};
};
static thread_local Worker *worker;
static thread_local Fiber *current;

static int seed() {
  const char *s = getenv("EMU_SEED");
  return s ? atoi(s) : 0;
}

static void leave() {
  Fiber *f = current;
  ON_TSAN(__tsan_switch_to_fiber(worker->tsan_home, 1));
  ON_ASAN(void *fake; __sanitizer_start_switch_fiber(&fake, worker->home_bottom, worker->home_size));
  emu_switch(&f->stack_pointer, worker->home);
  ON_ASAN(__sanitizer_finish_switch_fiber(fake, &worker->home_bottom, &worker->home_size));
}

static void enter(Fiber *f) {
  current = f;
  here = &f->place;
  ON_TSAN(__tsan_switch_to_fiber(f->tsan, 1));
  ON_ASAN(__sanitizer_start_switch_fiber(&worker->asan_fake, f->stack + GUARD, STACK - GUARD));
  emu_switch(&worker->home, f->stack_pointer);
  ON_ASAN(__sanitizer_finish_switch_fiber(worker->asan_fake, nullptr, nullptr));
}

static void body() {
  ON_ASAN(__sanitizer_finish_switch_fiber(nullptr, &worker->home_bottom, &worker->home_size));
  for (;;) {
    Fiber *f = current;
    ON_TSAN(__tsan_acquire(&worker->begin));
    worker->kernel->call(worker->kernel->function, worker->arguments);
    ON_TSAN(__tsan_release(&worker->end));
    f->state = State::Done;
    leave();
  }
}

static Fiber *new_fiber() {
  Fiber *f = new Fiber();
  f->stack = (char *)mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (f->stack == MAP_FAILED) {
    perror("cuda emulation: stack of a thread");
    abort();
  }
  mprotect(f->stack, GUARD, PROT_NONE);
  void **top = (void **)(f->stack + STACK);
  *--top = nullptr;
  *--top = (void *)body;
  for (int saved = 0; saved < 6; saved++) *--top = nullptr;
  f->stack_pointer = top;
  ON_TSAN(f->tsan = __tsan_create_fiber(0));
  return f;
}

void block_barrier(int line) {
  Fiber *f = current;
  f->state = State::AtBlockBarrier;
  f->line = line;
  char *object = &worker->barriers[f->block_barriers++ & 1];
  (void)object;
  ON_TSAN(__tsan_release(object));
  leave();
  ON_TSAN(__tsan_acquire(object));
}

static unsigned warp_of(const Fiber *f) { return f->place.thread.x / WARP; }

void warp_barrier(unsigned mask, int line) {
  Fiber *f = current;
  f->state = State::AtWarpBarrier;
  f->line = line;
  f->mask = mask;
  uint64_t *object = &worker->fibers[warp_of(f) * WARP]->given[f->warp_barriers++ & 1];
  (void)object;
  ON_TSAN(__tsan_release(object));
  leave();
  ON_TSAN(__tsan_acquire(object));
}

uint64_t exchange(unsigned mask, uint64_t value, int lane, int line) {
  Fiber *f = current;
  unsigned slot = f->exchanges++ & 1;
  f->given[slot] = value;
  warp_barrier(mask, line);
  unsigned thread = warp_of(f) * WARP + unsigned(lane);
  bool exists = lane >= 0 && lane < int(WARP) && thread < worker->threads;
  return exists ? worker->fibers[thread]->given[slot] : value;
}

[[noreturn]] static void give_up(const char *why) {
  fprintf(stderr, "cuda emulation: %s in kernel %s\n", why, worker->kernel->name);
  for (unsigned i = 0; i < std::min(worker->threads, 64u); i++)
    fprintf(stderr, "  thread %u: %s, line %d\n", i, name_of(worker->fibers[i]->state), worker->fibers[i]->line);
  abort();
}

// Lets threads go on whose whole warp (as far as the mask says) has arrived.
static bool release_warps(Worker &w) {
  bool any = false;
  for (unsigned first = 0; first < w.threads; first += WARP) {
    unsigned lanes = std::min(WARP, w.threads - first), waiting = 0, mask = 0;
    int line = 0;
    for (unsigned lane = 0; lane < lanes; lane++) {
      Fiber *f = w.fibers[first + lane];
      if (f->state != State::AtWarpBarrier) continue;
      waiting |= 1u << lane;
      mask = f->mask;
      line = f->line;
    }
    unsigned existing = lanes == WARP ? ~0u : (1u << lanes) - 1;
    if (!waiting || waiting != (mask & existing)) continue;
    for (unsigned lane = 0; lane < lanes; lane++) {
      if (!(waiting >> lane & 1)) continue;
      Fiber *f = w.fibers[first + lane];
      if (f->mask != mask || f->line != line) give_up("lanes of a warp disagree on mask or place");
      f->state = State::Ready;
    }
    any = true;
  }
  return any;
}

static void run_block(Worker &w, uint3 index, dim3 grid, dim3 block, size_t shared_bytes) {
  w.threads = block.x * block.y * block.z;
  while (w.fibers.size() < w.threads) w.fibers.push_back(new_fiber());
  dynamic_shared = (unsigned char *)malloc(shared_bytes);
  memset(dynamic_shared, 0xa5, shared_bytes);
  w.order.resize(w.threads);
  for (unsigned i = 0; i < w.threads; i++) {
    w.order[i] = i;
    Fiber *f = w.fibers[i];
    f->state = State::Ready;
    f->exchanges = f->block_barriers = f->warp_barriers = 0;
    f->place = {{i % block.x, i / block.x % block.y, i / (block.x * block.y)}, index, block, grid};
  }
  std::mt19937 random(unsigned(seed()) * 7919 + index.x);
  if (seed() == 1) std::reverse(w.order.begin(), w.order.end());
  if (seed() > 1) std::shuffle(w.order.begin(), w.order.end(), random);
  ON_TSAN(__tsan_release(&w.begin));
  for (unsigned done = 0; done < w.threads;) {
    bool progress = false;
    unsigned waiting = 0;
    for (unsigned i : w.order) {
      Fiber *f = w.fibers[i];
      if (f->state == State::Ready) {
        enter(f);
        progress = true;
        done += f->state == State::Done;
      }
      waiting += f->state == State::AtBlockBarrier;
    }
    if (waiting && waiting + done == w.threads) {
      if (done) give_up("__syncthreads() after threads of the block have returned");
      for (unsigned i = 0; i < w.threads; i++)
        if (w.fibers[i]->line != w.fibers[0]->line) give_up("threads of a block wait at different __syncthreads()");
      for (unsigned i = 0; i < w.threads; i++) w.fibers[i]->state = State::Ready;
      if (seed() > 1) std::shuffle(w.order.begin(), w.order.end(), random);
      continue;
    }
    if (!release_warps(w) && !progress) give_up("deadlock: a barrier or warp operation that not all threads reach");
  }
  ON_TSAN(__tsan_acquire(&w.end));
  free(dynamic_shared);
}

void launch(const Kernel &kernel, void **arguments, dim3 grid, dim3 block, size_t shared_bytes) {
  uint64_t blocks = uint64_t(grid.x) * grid.y * grid.z;
  std::atomic<uint64_t> next{0};
  const char *wanted = getenv("EMU_THREADS");
  uint64_t threads = std::min(blocks, uint64_t(std::max(1, wanted ? atoi(wanted) : 1)));
  auto work = [&] {
    static thread_local Worker own;
    Worker &w = own;
    worker = &w;
    w.kernel = &kernel;
    w.arguments = arguments;
    ON_TSAN(w.tsan_home = __tsan_get_current_fiber());
    for (uint64_t i; (i = next.fetch_add(1)) < blocks;)
      run_block(w, {unsigned(i % grid.x), unsigned(i / grid.x % grid.y), unsigned(i / (uint64_t(grid.x) * grid.y))}, grid,
                block, shared_bytes);
  };
  if (threads <= 1) return work();
  std::vector<std::thread> pool;
  for (uint64_t i = 0; i < threads; i++) pool.emplace_back(work);
  for (auto &thread : pool) thread.join();
}

}  // namespace emu
