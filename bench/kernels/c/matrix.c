#include "kernel.h"
enum { N = 64 };
static double a[N][N], b[N][N], c[N][N];
KERNEL {
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) a[i][j] = i + j * 0.5, b[i][j] = i - j * 0.25;
  for (int32_t round = 0; round < n; round++) {
    for (int i = 0; i < N; i++)
      for (int j = 0; j < N; j++) {
        double s = 0;
        for (int k = 0; k < N; k++) s += a[i][k] * b[k][j];
        c[i][j] = s;
      }
    a[round % N][0] = c[round % N][1] * 1e-6;
  }
  return (int64_t)(c[3][5] * 1000 + c[N - 1][N - 1]);
}
