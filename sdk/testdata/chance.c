/* Draws a random number during its initialisation, where the program's own hash decides, and another one in its entry,
 * where the zone does.
 * clang --target=wasm32 -Oz -nostdlib -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=4096 -o chance.wasm chance.c */
#include "../../examples/guests/c/kitwork.h"

__attribute__((import_module("wasi_snapshot_preview1"), import_name("random_get"))) int32_t random_get(void *dst, kw_len len);

static uint8_t drawn[8];

KW_EXPORT("_initialize") void initialize(void) { random_get(drawn, 4); }

KW_EXPORT("run") int32_t run(void)
{
	random_get(drawn + 4, 4);
	kw_output(drawn, sizeof drawn);
	return 0;
}
