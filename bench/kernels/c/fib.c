#include "kernel.h"
static NOINLINE int32_t fib(int32_t x) { return x < 2 ? x : fib(x - 1) + fib(x - 2); }
KERNEL {
  int64_t sum = 0;
  for (int32_t i = 0; i < n; i++) sum += fib(18 + (i & 3));
  return sum;
}
