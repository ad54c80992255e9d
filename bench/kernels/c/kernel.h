// Every kernel is one function from a size to a checksum, without a library,
// so that the same source runs natively and as WebAssembly.
#include <stdint.h>
#include <stddef.h>
#ifdef __wasm__
#define KERNEL __attribute__((export_name("run"))) int64_t run(int32_t n)
#else
#define KERNEL int64_t run(int32_t n)
#endif
#define NOINLINE __attribute__((noinline))

static inline uint32_t next(uint32_t *s) {
  *s ^= *s << 13;
  *s ^= *s >> 17;
  *s ^= *s << 5;
  return *s;
}
