/* Reads two integers, writes and returns their sum. No library, not even a C one. */
#include "kitwork.h"

#define LITERAL(s) s, sizeof s - 1

static int64_t load(const char *key, kw_len klen)
{
	uint8_t buf[10];
	int64_t v = 0;
	int32_t n = kw_get(0, key, klen, buf, sizeof buf);
	if (n == KW_NOT_FOUND)
		return 0;
	if (n < 0 || n > (int32_t)sizeof buf || kw_get_int(buf, (kw_len)n, &v) != (kw_len)n)
		kw_fail(16, LITERAL("a summand can't be read"));
	return v;
}

KW_EXPORT("run") int32_t run(void)
{
	uint8_t buf[10];
	kw_len n = kw_put_int(buf, load(LITERAL("sum/a")) + load(LITERAL("sum/b")));
	if (kw_put(0, LITERAL("sum/total"), buf, n) != 0)
		kw_fail(17, LITERAL("the sum can't be written"));
	kw_output(buf, n);
	return 0;
}
