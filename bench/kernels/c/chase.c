#include "kernel.h"
struct node { struct node *left, *right; uint32_t key, hits; };
enum { COUNT = 1 << 14 };
static struct node pool[COUNT];
// Walks in a random binary search tree.
KERNEL {
  uint32_t s = 11;
  int used = 0;
  struct node *root = NULL;
  for (int i = 0; i < COUNT; i++) {
    uint32_t key = next(&s);
    struct node **at = &root;
    while (*at && (*at)->key != key) at = key < (*at)->key ? &(*at)->left : &(*at)->right;
    if (!*at) {
      pool[used] = (struct node){NULL, NULL, key, 0};
      *at = &pool[used++];
    }
  }
  int64_t steps = 0;
  for (int32_t i = 0; i < n * 10; i++) {
    uint32_t key = next(&s);
    for (struct node *p = root; p; p = key < p->key ? p->left : p->right) {
      p->hits++;
      steps++;
    }
  }
  return steps + root->hits;
}
