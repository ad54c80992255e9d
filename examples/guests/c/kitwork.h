/* The host ABI of a capsule, kitwork:host@0.1.0, for C, and the encoding of integers that package kit of Go uses.
 *
 * A byte list is (pointer, length). A list result is (destination, capacity): the answer is the full length, and nothing
 * was written if that is above the capacity. Below zero it is one of the errors. */
#ifndef KITWORK_H
#define KITWORK_H

#include <stdint.h>

#define KW_IMPORT(iface, name) \
	__attribute__((import_module("kitwork:host/" iface "@0.1.0"), import_name(name)))
#define KW_EXPORT(name) __attribute__((export_name(name)))

enum kw_error {
	KW_NOT_FOUND = -1,
	KW_DENIED = -2,
	KW_INVALID = -3,
	KW_TOO_LARGE = -4,
	KW_CONFLICT = -5,
	KW_UNREACHABLE = -6,
	KW_EXHAUSTED = -7,
	KW_UNSUPPORTED = -8,
};

typedef uint32_t kw_len;

/* kv: what is written between two suspensions is one transaction. Store 0 is the default. */
KW_IMPORT("kv", "get") int32_t kw_get(uint32_t store, const void *key, kw_len klen, void *dst, kw_len cap);
KW_IMPORT("kv", "put") int32_t kw_put(uint32_t store, const void *key, kw_len klen, const void *val, kw_len vlen);
KW_IMPORT("kv", "delete") int32_t kw_delete(uint32_t store, const void *key, kw_len klen);
/* Entries {key length u32, value length u32, key, value}* with the prefix and a key greater than after; 0 bytes: no more. */
KW_IMPORT("kv", "scan") int32_t kw_scan(uint32_t store, const void *prefix, kw_len plen, const void *after, kw_len alen,
	void *dst, kw_len cap);

/* flow: the life of the capsule. */
KW_IMPORT("flow", "input") int32_t kw_input(void *dst, kw_len cap);
KW_IMPORT("flow", "output") void kw_output(const void *val, kw_len len);
KW_IMPORT("flow", "fail") void kw_fail(uint32_t code, const char *msg, kw_len len) __attribute__((noreturn));
KW_IMPORT("flow", "goto") int32_t kw_goto(const char *zone, kw_len len);
KW_IMPORT("flow", "sleep") int32_t kw_sleep(uint64_t ns);
KW_IMPORT("flow", "zone") int32_t kw_zone(char *dst, kw_len cap);
KW_IMPORT("flow", "gas") uint64_t kw_gas(void);

KW_IMPORT("clock", "now") uint64_t kw_now(void);
KW_IMPORT("random", "fill") int32_t kw_random(void *dst, kw_len len);
KW_IMPORT("event", "emit") int32_t kw_emit(const char *topic, kw_len tlen, const void *data, kw_len dlen);
KW_IMPORT("log", "write") void kw_log(uint32_t level, const char *msg, kw_len len);

/* Signed integers: the absolute value's sign goes to the lowest bit, then seven bits a byte, low ones first. */
static inline kw_len kw_put_int(uint8_t *p, int64_t v)
{
	uint64_t u = (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
	kw_len n = 0;
	for (; u >= 0x80; u >>= 7)
		p[n++] = (uint8_t)u | 0x80;
	p[n++] = (uint8_t)u;
	return n;
}

/* Returns the bytes read, 0 if there is no integer. */
static inline kw_len kw_get_int(const uint8_t *p, kw_len len, int64_t *v)
{
	uint64_t u = 0;
	for (kw_len n = 0; n < len && n < 10; n++) {
		u |= (uint64_t)(p[n] & 0x7f) << 7 * n;
		if (p[n] < 0x80) {
			*v = (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
			return n + 1;
		}
	}
	return 0;
}

#endif
