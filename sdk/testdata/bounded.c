/* No loop, no recursion, no call through a table: what it may cost can be said before it runs.
 * clang --target=wasm32 -Oz -nostdlib -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=4096 -o bounded.wasm bounded.c */
#include "../../examples/guests/c/kitwork.h"

static int32_t twice(int32_t n) { return 2 * n; }

KW_EXPORT("run") int32_t run(void)
{
	uint8_t v[8] = {0};
	int32_t n = kw_get(0, "k", 1, v, sizeof v);
	if (n == 8)
		v[0] = (uint8_t)twice(v[0]);
	else
		v[7] = 1;
	return kw_put(0, "k", 1, v, sizeof v);
}
