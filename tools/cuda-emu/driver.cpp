// libcuda.so.1 for machines without a GPU: the entry points of the driver API that cudarc calls, over host memory and fibers.
//
// It checks what a driver checks and more: sizes of grids and blocks, shared memory beyond what was asked for, copies beyond an
// allocation. Fresh memory is filled with 0xA5. A stream that is captured collects launches and copies instead of doing them, and a graph does
// them: arguments have the values of the capture, memory is that of the time of the replay. Memory comes in the order of a stream, as on
// every GPU of today, or from calls that wait for the device (`emuPools`). Faults are planted by `emuFail`, calls counted by `emuCalls`.
#include "cuda_emu.h"
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#define API extern "C" __attribute__((visibility("default"))) int

namespace {

enum Result {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  INVALID_DEVICE = 101,
  NO_BINARY_FOR_GPU = 209,
  NOT_FOUND = 500,
  ILLEGAL_ADDRESS = 700,
  LAUNCH_FAILED = 719,
  CAPTURE_UNSUPPORTED = 900,
  CAPTURE_INVALIDATED = 901,
  ILLEGAL_STATE = 401,
};

const size_t MEMORY = size_t(8) << 30;
const unsigned SHARED_DEFAULT = 48 << 10, SHARED_MOST = 227 << 10;

struct Function {
  const emu::Kernel *kernel;
  unsigned shared_most;
};

std::mutex mutex;
struct Allocation {
  size_t bytes;
  // Whether it came in the order of a stream.
  bool ordered;
};
std::map<uintptr_t, Allocation> allocations;
size_t in_use;
std::map<std::string, Function> functions;
thread_local void *context;
char the_context, the_module;
int driver_version = 13000;
// Major compute capability, and whether there are memory pools.
int capability = 8, pools = 1;

// What a captured stream has collected, and what a graph does.
typedef std::vector<std::function<int()>> Work;
struct Stream {
  bool captures = false, invalid = false;
  int mode = 0;
  Work work;
};
// Objects that were made and not destroyed: streams, events, graphs, modules, contexts.
long objects;
// Streams that capture in a mode that forbids other calls to touch memory.
long strict;

// Faults: how many calls of each kind still succeed; -1 for all.
enum Kind { ALLOCATE, LAUNCH, LOAD, ANY, KINDS };
long left[KINDS] = {-1, -1, -1, -1};
// A launch that failed takes the device with it.
bool lost;

// Calls so far. Waits for the device are those for all of its work: of a context, and of memory that is released out of a stream's order.
enum Call { STREAM_WAITS, DEVICE_WAITS, ALLOCATIONS, RELEASES, CALLS };
std::atomic<long> calls[CALLS];
std::map<std::string, long> launches;

int count(long by, int result) {
  std::lock_guard<std::mutex> lock(mutex);
  return objects += by, result;
}

bool fails(Kind kind) {
  std::lock_guard<std::mutex> lock(mutex);
  if (left[kind] > 0) left[kind]--;
  else return left[kind] == 0;
  return false;
}

// Whether the device is lost, which it becomes when no more calls of any kind succeed.
bool gone() {
  if (fails(ANY)) lost = true;
  return lost;
}

// Does the work now, or leaves it to the graph that the stream is captured into.
int submit(void *stream, std::function<int()> work) {
  Stream *s = (Stream *)stream;
  if (!s || !s->captures) return work();
  s->work.push_back(std::move(work));
  return SUCCESS;
}

bool within(uintptr_t at, size_t bytes) {
  std::lock_guard<std::mutex> lock(mutex);
  auto next = allocations.upper_bound(at);
  if (next == allocations.begin()) return false;
  --next;
  return at + bytes <= next->first + next->second.bytes;
}

int allocate(uintptr_t *at, size_t bytes, bool ordered) {
  calls[ALLOCATIONS]++;
  if (fails(ALLOCATE)) return OUT_OF_MEMORY;
  std::lock_guard<std::mutex> lock(mutex);
  if (bytes == 0) return INVALID_VALUE;
  if (in_use + bytes > MEMORY) return OUT_OF_MEMORY;
  void *memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (!memory) return OUT_OF_MEMORY;
  memset(memory, 0xa5, bytes);
  allocations[uintptr_t(memory)] = {bytes, ordered};
  in_use += bytes;
  *at = uintptr_t(memory);
  return SUCCESS;
}

// Memory that came in the order of a stream may be released at once; the reverse is an error.
int release(uintptr_t at, bool ordered) {
  calls[RELEASES]++;
  std::lock_guard<std::mutex> lock(mutex);
  auto found = allocations.find(at);
  if (found == allocations.end() || (ordered && !found->second.ordered)) return INVALID_VALUE;
  in_use -= found->second.bytes;
  allocations.erase(found);
  free((void *)at);
  return SUCCESS;
}

}  // namespace

// Kinds: 0 allocations, 1 launches, 2 loading a module, 3 calls of any kind that reach the device. After `successes` further calls all fail; a
// negative number ends it. A failed launch, and any failure of kind 3, loses the device until the next call of this.
extern "C" __attribute__((visibility("default"))) void emuFail(int kind, long successes) {
  std::lock_guard<std::mutex> lock(mutex);
  if (kind >= 0 && kind < KINDS) left[kind] = successes;
  lost = false;
}
// Bytes that are allocated.
extern "C" __attribute__((visibility("default"))) size_t emuBytes() {
  std::lock_guard<std::mutex> lock(mutex);
  return in_use;
}

// Streams, events, graphs, modules and contexts that exist.
extern "C" __attribute__((visibility("default"))) long emuObjects() {
  std::lock_guard<std::mutex> lock(mutex);
  return objects;
}
// The version that the driver says it supports.
extern "C" __attribute__((visibility("default"))) void emuVersion(int version) { driver_version = version; }
// The major compute capability that devices say they have.
extern "C" __attribute__((visibility("default"))) void emuCapability(int major) { capability = major; }
// Whether contexts that are made from now on find memory pools, and with them memory in the order of a stream.
extern "C" __attribute__((visibility("default"))) void emuPools(int exist) { pools = exist; }
// Calls so far: 0 waits for a stream or an event, 1 waits for the whole device, 2 allocations, 3 releases.
extern "C" __attribute__((visibility("default"))) long emuCalls(int call) {
  return call >= 0 && call < CALLS ? calls[call].load() : -1;
}
// Launches of a kernel so far, those of graphs included.
extern "C" __attribute__((visibility("default"))) long emuLaunches(const char *kernel) {
  std::lock_guard<std::mutex> lock(mutex);
  return launches[kernel];
}

API cuInit(unsigned) { return SUCCESS; }
API cuDriverGetVersion(int *version) { return *version = driver_version, SUCCESS; }
API cuDeviceGetCount(int *count) { return *count = 1, SUCCESS; }
API cuDeviceGet(int *device, int ordinal) { return *device = 0, ordinal ? INVALID_DEVICE : SUCCESS; }
API cuDeviceGetName(char *name, int length, int) { return snprintf(name, size_t(length), "CPU emulation"), SUCCESS; }
API cuDeviceTotalMem_v2(size_t *bytes, int) { return *bytes = MEMORY, SUCCESS; }
API cuDeviceGetAttribute(int *value, int attribute, int) {
  switch (attribute) {
    case 1: *value = 1024; break;              // threads a block
    case 8: *value = int(SHARED_DEFAULT); break;
    case 10: *value = 32; break;               // lanes of a warp
    case 16: *value = 4; break;                // multiprocessors
    case 75: *value = capability; break;       // major compute capability; the minor one is 0
    case 97: *value = int(SHARED_MOST); break;
    case 115: *value = pools; break;
    default: *value = 0;
  }
  return SUCCESS;
}
API cuDevicePrimaryCtxRetain(void **c, int) { return *c = &the_context, count(1, SUCCESS); }
API cuDevicePrimaryCtxRelease_v2(int) { return count(-1, SUCCESS); }
API cuCtxSetCurrent(void *c) { return context = c, SUCCESS; }
API cuCtxGetCurrent(void **c) { return *c = context, SUCCESS; }
API cuCtxSynchronize() { return calls[DEVICE_WAITS]++, lost ? LAUNCH_FAILED : SUCCESS; }

API cuMemAlloc_v2(uintptr_t *at, size_t bytes) {
  if (gone()) return LAUNCH_FAILED;
  if (strict) return CAPTURE_UNSUPPORTED;
  return allocate(at, bytes, false);
}
API cuMemFree_v2(uintptr_t at) {
  calls[DEVICE_WAITS]++;
  return release(at, false);
}
// On a captured stream these would become nodes of the graph, whose memory is no one else's: the backend never wants that.
API cuMemAllocAsync(uintptr_t *at, size_t bytes, Stream *stream) {
  if (gone()) return LAUNCH_FAILED;
  if (stream && stream->captures) return stream->invalid = true, CAPTURE_UNSUPPORTED;
  return allocate(at, bytes, true);
}
API cuMemFreeAsync(uintptr_t at, Stream *stream) {
  if (stream && stream->captures) return stream->invalid = true, INVALID_VALUE;
  // A lost device has no memory either; a leak is what is never released.
  const int released = release(at, true);
  return gone() ? LAUNCH_FAILED : released;
}
API cuMemGetInfo_v2(size_t *available, size_t *total) {
  std::lock_guard<std::mutex> lock(mutex);
  return *available = MEMORY - in_use, *total = MEMORY, SUCCESS;
}
API cuMemcpyHtoDAsync_v2(uintptr_t to, const void *from, size_t bytes, void *stream) {
  if (gone()) return LAUNCH_FAILED;
  if (!within(to, bytes)) return ILLEGAL_ADDRESS;
  return submit(stream, [=] { return memcpy((void *)to, from, bytes), SUCCESS; });
}
API cuMemcpyDtoHAsync_v2(void *to, uintptr_t from, size_t bytes, void *stream) {
  if (gone()) return LAUNCH_FAILED;
  if (!within(from, bytes)) return ILLEGAL_ADDRESS;
  return submit(stream, [=] { return memcpy(to, (void *)from, bytes), SUCCESS; });
}
API cuMemcpyDtoDAsync_v2(uintptr_t to, uintptr_t from, size_t bytes, void *stream) {
  if (gone()) return LAUNCH_FAILED;
  if (!within(to, bytes) || !within(from, bytes)) return ILLEGAL_ADDRESS;
  return submit(stream, [=] { return memmove((void *)to, (void *)from, bytes), SUCCESS; });
}
API cuMemsetD8Async(uintptr_t at, unsigned char value, size_t bytes, void *stream) {
  if (gone()) return LAUNCH_FAILED;
  if (!within(at, bytes)) return ILLEGAL_ADDRESS;
  return submit(stream, [=] { return memset((void *)at, value, bytes), SUCCESS; });
}

API cuStreamCreate(Stream **stream, unsigned) { return *stream = new Stream(), count(1, SUCCESS); }
API cuStreamDestroy_v2(Stream *stream) { return delete stream, count(-1, SUCCESS); }
API cuStreamSynchronize(Stream *stream) {
  calls[STREAM_WAITS]++;
  if (gone()) return LAUNCH_FAILED;
  if (stream && stream->captures) return stream->invalid = true, CAPTURE_UNSUPPORTED;
  return SUCCESS;
}
API cuStreamWaitEvent(void *, void *, unsigned) { return SUCCESS; }

API cuStreamBeginCapture_v2(Stream *stream, int mode) {
  if (gone()) return LAUNCH_FAILED;
  if (!stream || stream->captures) return ILLEGAL_STATE;
  strict += mode != 2;
  *stream = {true, false, mode, {}};
  return SUCCESS;
}
API cuStreamIsCapturing(Stream *stream, int *status) {
  return *status = !stream || !stream->captures ? 0 : stream->invalid ? 2 : 1, SUCCESS;
}
API cuStreamEndCapture(Stream *stream, Work **graph) {
  *graph = nullptr;
  if (!stream || !stream->captures) return ILLEGAL_STATE;
  strict -= stream->mode != 2;
  Stream done = std::move(*stream);
  *stream = Stream();
  if (gone()) return LAUNCH_FAILED;
  if (done.invalid) return CAPTURE_INVALIDATED;
  return *graph = new Work(std::move(done.work)), count(1, SUCCESS);
}
API cuGraphInstantiateWithFlags(Work **executable, Work *graph, unsigned long long) {
  if (gone()) return LAUNCH_FAILED;
  return *executable = new Work(*graph), count(1, SUCCESS);
}
API cuGraphDestroy(Work *graph) { return delete graph, count(-1, SUCCESS); }
API cuGraphExecDestroy(Work *graph) { return delete graph, count(-1, SUCCESS); }
API cuGraphUpload(Work *, void *) { return gone() ? LAUNCH_FAILED : SUCCESS; }
API cuGraphLaunch(Work *graph, Stream *stream) {
  if (gone()) return LAUNCH_FAILED;
  if (stream && stream->captures) return stream->invalid = true, CAPTURE_UNSUPPORTED;
  for (const auto &node : *graph)
    if (int error = node()) return error;
  return SUCCESS;
}
API cuEventCreate(void **event, unsigned) { return *event = malloc(1), count(1, SUCCESS); }
API cuEventDestroy_v2(void *event) { return free(event), count(-1, SUCCESS); }
API cuEventRecord(void *, void *) { return SUCCESS; }
API cuEventSynchronize(void *) { return calls[STREAM_WAITS]++, SUCCESS; }

// The kernels are part of this library; machine code of another is not.
API cuModuleLoadData(void **module, const void *image) {
  if (fails(LOAD) || !memcmp(image, "\x7f" "ELF", 4)) return NO_BINARY_FOR_GPU;
  return *module = &the_module, count(1, SUCCESS);
}
API cuModuleUnload(void *) { return count(-1, SUCCESS); }
API cuModuleGetFunction(Function **function, void *, const char *name) {
  std::lock_guard<std::mutex> lock(mutex);
  for (const emu::Kernel *k = emu::kernels; k; k = k->next) {
    if (strcmp(k->name, name)) continue;
    *function = &functions.insert({name, {k, SHARED_DEFAULT}}).first->second;
    return SUCCESS;
  }
  return NOT_FOUND;
}
API cuFuncSetAttribute(Function *function, int attribute, int value) {
  if (attribute != 8) return SUCCESS;
  if (value < 0 || unsigned(value) > SHARED_MOST) return INVALID_VALUE;
  return function->shared_most = unsigned(value), SUCCESS;
}
API cuFuncGetAttribute(int *value, int, Function *) { return *value = 0, SUCCESS; }
API cuLaunchKernel(Function *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared_bytes, void *stream, void **arguments, void **) {
  if (gone()) return LAUNCH_FAILED;
  bool grid = gx && gy && gz && gx <= 0x7fffffff && gy <= 0xffff && gz <= 0xffff;
  bool block = bx && by && bz && bz <= 64 && uint64_t(bx) * by * bz <= 1024;
  if (!grid || !block || shared_bytes > f->shared_most) return INVALID_VALUE;
  // Values are those of this moment, also for a graph. A driver takes 4 KiB of them.
  std::vector<size_t> sizes;
  size_t bytes = 0;
  for (const size_t *size = f->kernel->sizes; *size; size++) sizes.push_back(*size), bytes += (*size + 7) / 8 * 8;
  if (bytes > 4096) return INVALID_VALUE;
  std::vector<std::shared_ptr<char>> values;
  for (size_t i = 0; i < sizes.size(); i++) {
    values.emplace_back((char *)aligned_alloc(16, (sizes[i] + 15) / 16 * 16), free);
    memcpy(values.back().get(), arguments[i], sizes[i]);
  }
  return submit(stream, [=]() -> int {
    if (fails(LAUNCH)) return lost = true, LAUNCH_FAILED;
    std::vector<void *> pointers;
    for (const auto &value : values) pointers.push_back(value.get());
    {
      std::lock_guard<std::mutex> lock(mutex);
      launches[f->kernel->name]++;
    }
    emu::launch(*f->kernel, pointers.data(), {gx, gy, gz}, {bx, by, bz}, shared_bytes);
    return SUCCESS;
  });
}

API cuGetErrorString(int, const char **text) { return *text = "an error of the emulation", SUCCESS; }
API cuGetErrorName(int error, const char **text) {
  switch (error) {
    case OUT_OF_MEMORY: *text = "CUDA_ERROR_OUT_OF_MEMORY"; break;
    case NO_BINARY_FOR_GPU: *text = "CUDA_ERROR_NO_BINARY_FOR_GPU"; break;
    case ILLEGAL_ADDRESS: *text = "CUDA_ERROR_ILLEGAL_ADDRESS"; break;
    case LAUNCH_FAILED: *text = "CUDA_ERROR_LAUNCH_FAILED"; break;
    case CAPTURE_UNSUPPORTED: *text = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"; break;
    case CAPTURE_INVALIDATED: *text = "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"; break;
    default: *text = "CUDA_ERROR_EMULATED";
  }
  return SUCCESS;
}
// NVRTC asks for it and takes an error for an answer.
API cuGetExportTable(const void **table, const void *) { return *table = nullptr, NOT_FOUND; }
