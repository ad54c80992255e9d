#include "kernel.h"
KERNEL {
  int64_t total = 0;
  for (int py = 0; py < n; py++)
    for (int px = 0; px < 64; px++) {
      double cx = px / 64.0 * 3 - 2, cy = (py % 64) / 64.0 * 2 - 1, x = 0, y = 0;
      int i = 0;
      for (; i < 200 && x * x + y * y < 4; i++) {
        double t = x * x - y * y + cx;
        y = 2 * x * y + cy;
        x = t;
      }
      total += i;
    }
  return total;
}
