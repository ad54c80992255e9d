// Bare C without a library: sorting, hashing, recursion, indirect calls and 128-bit vectors behind exports.
typedef unsigned int u32;
typedef unsigned long long u64;
typedef float f32x4 __attribute__((vector_size(16)));

#define EXPORT(name) __attribute__((export_name(name)))

static u32 state = 1;
static u32 rnd(void) { return state = state * 1664525u + 1013904223u; }

static u32 data[512];

static void quicksort(u32 *a, int lo, int hi) {
  while (lo < hi) {
    u32 p = a[(lo + hi) / 2];
    int i = lo, j = hi;
    while (i <= j) {
      while (a[i] < p) i++;
      while (a[j] > p) j--;
      if (i <= j) {
        u32 t = a[i];
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

// sort fills n numbers, sorts them, and answers an FNV-1a hash of the order, or 0 if it is no order.
EXPORT("sort") u64 sort(int n) {
  if (n > 512) n = 512;
  for (int i = 0; i < n; i++) data[i] = rnd();
  quicksort(data, 0, n - 1);
  u64 h = 14695981039346656037ull;
  for (int i = 0; i < n; i++) {
    if (i && data[i - 1] > data[i]) return 0;
    h = (h ^ data[i]) * 1099511628211ull;
  }
  return h;
}

EXPORT("fib") u32 fib(u32 n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

static double half(double x) { return x / 2; }
static double third(double x) { return x / 3; }
static double newton(double x) { return (x + 2 / x) / 2; }
static double (*const steps[])(double) = {half, third, newton, newton, newton};

// chain calls through a table, chosen by data.
EXPORT("chain") double chain(int n) {
  double x = 1;
  for (int i = 0; i < n; i++) x = steps[rnd() >> 16 & 3](x) + 1;
  return x;
}

static float m[64 * 64] __attribute__((aligned(16)));

// matrix squares an n by n matrix with four lanes at a time and answers its trace.
EXPORT("matrix") float matrix(int n) {
  if (n > 32) n = 32;
  n &= ~3;
  float *out = m + 32 * 32;
  for (int i = 0; i < n * n; i++) m[i] = (float)(rnd() >> 20) / 4096;
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j += 4) {
      f32x4 s = {0, 0, 0, 0};
      for (int k = 0; k < n; k++) {
        float a = m[i * n + k];
        f32x4 v = {a, a, a, a};
        s += v * *(f32x4 *)(m + k * n + j);
      }
      *(f32x4 *)(out + i * n + j) = s;
    }
  float t = 0;
  for (int i = 0; i < n; i++) t += out[i * n + i];
  return t;
}

// deep recurses n frames down, each with something in it that it needs on the way back.
EXPORT("deep") u32 deep(u32 n) {
  volatile u32 keep = n * 7;
  return n == 0 ? 0 : (deep(n - 1) ^ keep) + 1;
}

// bulk grows the memory and copies and fills through it.
EXPORT("bulk") u32 bulk(u32 pages) {
  int old = __builtin_wasm_memory_grow(0, (int)pages);
  if (old < 0) return 0;
  unsigned char *p = (unsigned char *)(unsigned long)(old * 65536u);
  u32 n = pages * 65536u;
  __builtin_memset(p, 0x5a, n);
  __builtin_memcpy(p + n / 2, &data, sizeof data);
  __builtin_memmove(p + 1, p + n / 2, sizeof data);
  u32 s = 0;
  for (u32 i = 0; i < n; i += 61) s = s * 31 + p[i];
  return s;
}
