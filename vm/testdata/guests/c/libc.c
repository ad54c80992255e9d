// C with a standard library: allocation, formatting, sorting, the clock, sleeping, arguments, an exit status.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct node {
  char *key;
  int count;
  struct node *left, *right;
};

static struct node *insert(struct node *n, const char *key) {
  if (!n) {
    n = calloc(1, sizeof *n);
    n->key = strdup(key);
    n->count = 1;
    return n;
  }
  int c = strcmp(key, n->key);
  if (c == 0) n->count++;
  else if (c < 0) n->left = insert(n->left, key);
  else n->right = insert(n->right, key);
  return n;
}

static void walk(struct node *n) {
  if (!n) return;
  walk(n->left);
  printf("%s=%d ", n->key, n->count);
  walk(n->right);
  free(n->key);
  free(n);
}

static int descending(const void *a, const void *b) { return *(const int *)b - *(const int *)a; }

int main(int argc, char **argv) {
  char text[] = "the quick brown fox jumps over the lazy dog and the dog sleeps";
  struct node *root = NULL;
  for (char *w = strtok(text, " "); w; w = strtok(NULL, " ")) root = insert(root, w);
  walk(root);
  printf("\n");

  int v[50];
  srand(7);
  for (int i = 0; i < 50; i++) v[i] = rand() % 1000;
  qsort(v, 50, sizeof *v, descending);
  printf("%d %d %.6f %.3e\n", v[0], v[49], sqrt(2), exp(10));

  struct timespec a, b, d = {1, 500000000};
  clock_gettime(CLOCK_MONOTONIC, &a);
  nanosleep(&d, NULL);
  clock_gettime(CLOCK_MONOTONIC, &b);
  long ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
  printf("slept %ld ms, args %d\n", ms, argc);
  for (int i = 1; i < argc; i++) printf("arg %s\n", argv[i]);

  FILE *f = fopen("/etc/passwd", "r");
  printf("open: %s\n", f ? "opened" : strerror(errno));
  int c = getchar();
  fprintf(stderr, "stdin %d\n", c);
  unsigned char r[16];
  printf("entropy %d\n", getentropy(r, sizeof r));
  return argc > 1 ? atoi(argv[1]) : 0;
}
