#include "kernel.h"
static uint32_t table[256];
static uint8_t text[8192];
KERNEL {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  for (int i = 0; i < 8192; i++) text[i] = (uint8_t)(i * i >> 3);
  uint32_t crc = ~0u;
  for (int32_t round = 0; round < n; round++)
    for (int i = 0; i < 8192; i++) crc = table[(crc ^ text[i]) & 255] ^ (crc >> 8);
  return crc;
}
