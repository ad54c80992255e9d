//go:build cgo

package store

/*
#include <malloc.h>

static void giveBack(void) {
#ifdef __GLIBC__
	mallopt(M_MMAP_THRESHOLD, 256 << 10);
	mallopt(M_ARENA_MAX, 1);
#endif
}
*/
import "C"

// Where there is a C compiler, Pebble has its memory tables and blocks from C's allocator. glibc's maps a large piece by itself
// and gives it back when it is freed, but only until the first one is: pieces of that size then come from its heap, where one
// block in use keeps all below it. A threshold that was set stays as it is. Under load a voter had 45 MB beside Go's memory
// after a snapshot without this line, 25 to 34 with it. One arena, for each of eight a core would
// have gaps of its own between the blocks that are in use: after ten minutes of load the larger follower had 164 MB instead of
// 169, with as much admitted.
func init() { C.giveBack() }
