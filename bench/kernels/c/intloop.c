#include "kernel.h"
// Mixed 32 and 64 bit arithmetic with a data-dependent branch.
KERNEL {
  uint64_t a = 1, b = 0x9e3779b97f4a7c15u;
  uint32_t s = 7;
  for (int32_t i = 0; i < n * 1000; i++) {
    uint32_t r = next(&s);
    if (r & 8) a += b ^ r; else b = b * 31 + a;
    a = (a << 7) | (a >> 57);
  }
  return (int64_t)(a ^ b);
}
