/* Writes and emits, and then fails: nothing of it may stay.
 * clang --target=wasm32 -Oz -nostdlib -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=4096 -o undone.wasm undone.c */
#include "../../examples/guests/c/kitwork.h"

KW_EXPORT("run") int32_t run(void)
{
	kw_put(0, "k", 1, "v", 1);
	kw_emit("t", 1, "e", 1);
	kw_fail(20, "no", 2);
}
