// A capsule in bare C: it moves an amount between two accounts of its zone, logs, sleeps, goes to another zone and
// reports there. The imports are those of kitwork:host.
typedef unsigned int u32;
typedef unsigned char u8;
typedef unsigned long long u64;

#define IMPORT(iface, fn) __attribute__((import_module("kitwork:host/" iface "@0.1.0"), import_name(fn)))
IMPORT("kv", "get") int kv_get(u32 s, const void *k, u32 kl, void *dst, u32 cap);
IMPORT("kv", "put") int kv_put(u32 s, const void *k, u32 kl, const void *v, u32 vl);
IMPORT("kv", "delete") int kv_delete(u32 s, const void *k, u32 kl);
IMPORT("kv", "scan") int kv_scan(u32 s, const void *p, u32 pl, const void *a, u32 al, void *dst, u32 cap);
IMPORT("flow", "input") int flow_input(void *dst, u32 cap);
IMPORT("flow", "output") void flow_output(const void *v, u32 vl);
IMPORT("flow", "fail") void flow_fail(u32 code, const void *m, u32 ml);
IMPORT("flow", "goto") int flow_goto(const void *z, u32 zl);
IMPORT("flow", "sleep") int flow_sleep(u64 ns);
IMPORT("flow", "zone") int flow_zone(void *dst, u32 cap);
IMPORT("flow", "gas") u64 flow_gas(void);
IMPORT("clock", "now") u64 clock_now(void);
IMPORT("random", "fill") int random_fill(void *dst, u32 len);
IMPORT("event", "emit") int event_emit(const void *t, u32 tl, const void *d, u32 dl);
IMPORT("log", "write") void log_write(u32 level, const void *m, u32 ml);

#define S(s) s, sizeof s - 1
static u8 buf[4096];

static u32 balance(const char *key, u32 n) {
  u32 v = 0;
  int r = kv_get(0, key, n, &v, sizeof v);
  if (r == -1) return 100; // an account opens with a hundred
  if (r != sizeof v) flow_fail(16, S("balance of a strange size"));
  return v;
}

__attribute__((export_name("run"))) int run(void) {
  u32 amount = 5;
  flow_input(&amount, sizeof amount);
  u32 a = balance(S("acct/alice")), b = balance(S("acct/bob"));
  if (a < amount) {
    log_write(2, S("not enough"));
    flow_fail(17, S("insufficient funds"));
  }
  a -= amount;
  b += amount;
  if (kv_put(0, S("acct/alice"), &a, sizeof a) | kv_put(0, S("acct/bob"), &b, sizeof b)) flow_fail(18, S("put"));
  log_write(1, S("moved"));
  if (event_emit(S("transfer"), &amount, sizeof amount)) flow_fail(19, S("emit"));
  if (flow_sleep(2000000000ull)) flow_fail(20, S("sleep"));

  int n = kv_scan(0, S("acct/"), "", 0, buf, sizeof buf);
  u32 total = 0;
  for (int at = 0; at < n;) {
    u32 kl = *(u32 *)(buf + at), vl = *(u32 *)(buf + at + 4), v;
    __builtin_memcpy(&v, buf + at + 8 + kl, 4);
    total += v;
    at += 8 + kl + vl;
  }
  u64 now = clock_now();
  u8 r[8];
  if (random_fill(r, sizeof r) != sizeof r) flow_fail(21, S("random"));
  if (flow_goto(S("eu"))) flow_fail(22, S("goto"));
  if (kv_get(0, S("acct/alice"), buf, sizeof buf) != -1) flow_fail(23, S("stores of two zones are one"));
  if (kv_delete(0, S("nobody"))) flow_fail(24, S("delete"));
  int z = flow_zone(buf, sizeof buf);
  buf[z++] = ' ';
  for (int i = 7; i >= 0; i--) buf[z++] = '0' + (total >> (i * 4) & 15);
  flow_output(buf, (u32)z);
  return flow_gas() > 0 && now < ~0ull ? (int)amount : -1;
}
