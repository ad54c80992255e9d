#include "kernel.h"
// A logistic map beside a running sum: dependent multiplications and additions.
KERNEL {
  double x = 0.1, sum = 0, c = 0;
  for (int32_t i = 0; i < n * 1000; i++) {
    x = 3.9 * x * (1 - x);
    double y = x - c, t = sum + y;
    c = (t - sum) - y;
    sum = t;
  }
  return (int64_t)(sum * 1e6);
}
