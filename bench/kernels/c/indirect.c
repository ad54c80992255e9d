#include "kernel.h"
typedef uint32_t (*step)(uint32_t);
static NOINLINE uint32_t s0(uint32_t x) { return x + 0x9e3779b9; }
static NOINLINE uint32_t s1(uint32_t x) { return x ^ (x >> 7); }
static NOINLINE uint32_t s2(uint32_t x) { return x * 33; }
static NOINLINE uint32_t s3(uint32_t x) { return (x << 5) | (x >> 27); }
static NOINLINE uint32_t s4(uint32_t x) { return ~x; }
static step steps[5] = {s0, s1, s2, s3, s4};
KERNEL {
  uint32_t x = 1;
  for (int32_t i = 0; i < n * 200; i++) x = steps[(x ^ (uint32_t)i) % 5](x);
  return x;
}
