#include "kernel.h"
static uint8_t composite[1 << 20];
KERNEL {
  int32_t limit = 1 << 16, count = 0;
  for (int32_t round = 0; round < n; round++) {
    for (int32_t i = 0; i < limit; i++) composite[i] = 0;
    count = 0;
    for (int32_t i = 2; i < limit; i++) {
      if (composite[i]) continue;
      count++;
      for (int32_t j = i + i; j < limit; j += i) composite[j] = 1;
    }
  }
  return count;
}
