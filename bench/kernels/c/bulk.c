#include "kernel.h"
static uint8_t src[1 << 16], dst[1 << 16];
KERNEL {
  uint32_t s = 5;
  int64_t sum = 0;
  for (int32_t i = 0; i < n; i++) {
    uint32_t len = 64 + next(&s) % 32768, from = next(&s) % 16384, to = next(&s) % 16384;
    __builtin_memset(src + from, (int)i, len);
    __builtin_memcpy(dst + to, src + from / 2, len);
    __builtin_memmove(dst, dst + 13, 1 << 15);
    sum += dst[len];
  }
  return sum;
}
