#include "kernel.h"
static uint32_t v[1 << 14];
static void heapsort(uint32_t *a, int32_t len) {
  for (int32_t start = len / 2 - 1, end = len; end > 1;) {
    if (start >= 0) {
      int32_t root = start--;
      uint32_t x = a[root];
      for (int32_t child; (child = 2 * root + 1) < end; root = child) {
        if (child + 1 < end && a[child] < a[child + 1]) child++;
        if (a[child] <= x) break;
        a[root] = a[child];
      }
      a[root] = x;
    } else {
      uint32_t x = a[--end];
      a[end] = a[0];
      int32_t root = 0;
      for (int32_t child; (child = 2 * root + 1) < end; root = child) {
        if (child + 1 < end && a[child] < a[child + 1]) child++;
        if (a[child] <= x) break;
        a[root] = a[child];
      }
      a[root] = x;
    }
  }
}
static void quicksort(uint32_t *a, int32_t lo, int32_t hi) {
  while (lo < hi) {
    uint32_t p = a[lo + (hi - lo) / 2];
    int32_t i = lo, j = hi;
    while (i <= j) {
      while (a[i] < p) i++;
      while (a[j] > p) j--;
      if (i <= j) {
        uint32_t t = a[i];
        a[i++] = a[j];
        a[j--] = t;
      }
    }
    if (j - lo < hi - i) {
      quicksort(a, lo, j);
      lo = i;
    } else {
      quicksort(a, i, hi);
      hi = j;
    }
  }
}
KERNEL {
  const int32_t len = 1 << 14;
  uint32_t s = 42;
  int64_t sum = 0;
  for (int32_t round = 0; round < n; round++) {
    for (int32_t i = 0; i < len; i++) v[i] = next(&s);
    if (round & 1) heapsort(v, len); else quicksort(v, 0, len - 1);
    for (int32_t i = 0; i < len; i += 97) sum = sum * 31 + v[i];
  }
  return sum;
}
