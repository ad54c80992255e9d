#include "kernel.h"
// A small virtual machine of its own: one large switch in a loop.
static uint8_t program[256];
KERNEL {
  uint32_t s = 3, r[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  for (int i = 0; i < 256; i++) program[i] = next(&s) % 20;
  uint8_t pc = 0;
  for (int32_t i = 0; i < n * 1000; i++) {
    switch (program[pc++]) {
      case 0: r[0] += r[1]; break;
      case 1: r[1] ^= r[2]; break;
      case 2: r[2] -= r[3]; break;
      case 3: r[3] *= r[4] | 1; break;
      case 4: r[4] = r[5] >> 3; break;
      case 5: r[5] = r[6] << 2 | 1; break;
      case 6: r[6] |= r[7]; break;
      case 7: r[7] = ~r[0]; break;
      case 8: r[0] = r[0] > r[1] ? r[0] : r[1]; break;
      case 9: r[1] += pc; break;
      case 10: r[2] ^= r[0] >> 5; break;
      case 11: if (r[3] & 1) pc += 3; break;
      case 12: if (r[4] & 2) pc -= 2; break;
      case 13: r[5] += 0x9e3779b9; break;
      case 14: r[6] = (r[6] >> 7) | (r[6] << 25); break;
      case 15: r[7] += r[2] * 5; break;
      case 16: r[0] -= r[7]; break;
      case 17: r[1] = r[1] * 33 + r[6]; break;
      case 18: r[2] = r[3] % 1000003; break;
      default: r[4] ^= r[5]; break;
    }
  }
  return (int64_t)(r[0] ^ r[1] ^ r[2] ^ r[3]) << 32 | (r[4] ^ r[5] ^ r[6] ^ r[7]);
}
