#include "kernel.h"
typedef float f32x4 __attribute__((vector_size(16)));
typedef int32_t i32x4 __attribute__((vector_size(16)));
enum { LEN = 4096 };
static f32x4 x[LEN / 4], y[LEN / 4];
static i32x4 z[LEN / 4];
KERNEL {
  for (int i = 0; i < LEN; i++) {
    ((float *)x)[i] = i * 0.5f;
    ((float *)y)[i] = 1.0f / (i + 1);
    ((int32_t *)z)[i] = i * 17;
  }
  f32x4 acc = {0, 0, 0, 0};
  i32x4 mix = {1, 2, 3, 4};
  for (int32_t round = 0; round < n; round++)
    for (int i = 0; i < LEN / 4; i++) {
      y[i] = x[i] * 0.99f + y[i];
      acc += y[i] * x[i];
      mix = (mix ^ z[i]) + (mix << 3);
    }
  return (int64_t)(acc[0] + acc[1] * 0.5f + acc[2] + acc[3]) + mix[0] + mix[1] * 3 + mix[2] + mix[3];
}
