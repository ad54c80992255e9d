/* An ordinary C program's way of doing things, with wasi-libc: the heap, printf (which becomes a line of the log) and a
 * sleep that survives a restart of every machine. The input is a name in bytes, the result a greeting. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kitwork.h"

KW_EXPORT("run") int32_t run(void)
{
	int32_t n = kw_input(NULL, 0);
	char *name = malloc((size_t)n + 1);
	if (n < 0 || name == NULL || kw_input(name, (kw_len)n) != n)
		kw_fail(16, "no input", 8);
	name[n] = 0;
	printf("about to greet %s\n", name);
	fflush(stdout);
	sleep(60);
	char greeting[256];
	int len = snprintf(greeting, sizeof greeting, "hello, %s", name);
	free(name);
	kw_output(greeting, (kw_len)(len < (int)sizeof greeting ? len : (int)sizeof greeting - 1));
	return 0;
}
