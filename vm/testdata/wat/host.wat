;; Calls of host functions in all the ways that stop a program.
(module
  (import "env" "ask" (func $ask (param i32 i32) (result i32)))   ;; pending: an answer of at most n bytes at p
  (import "env" "sum" (func $sum (param i32 i32) (result i64)))   ;; at once: sum of n bytes at p, priced by n
  (import "env" "fail" (func $fail))
  (memory (export "memory") 1)
  (table 2 funcref)
  (elem (i32.const 0) $ask $sum)
  (data (i32.const 16) "\01\02\03\04\05\06\07\08")
  (func (export "ask") (param $n i32) (result i32)
    (local $got i32)
    (local.set $got (i32.add (i32.const 1000) (call $ask (i32.const 64) (local.get $n))))
    (i32.add (local.get $got) (i32.load8_u (i32.const 64))))
  (func (export "ask_indirect") (param $n i32) (result i32)
    (i32.mul (i32.const 2) (call_indirect (param i32 i32) (result i32) (i32.const 64) (local.get $n) (i32.const 0))))
  (func (export "sum") (param $n i32) (result i64) (call $sum (i32.const 16) (local.get $n)))
  (func (export "fail") (call $fail))
  (export "ask_directly" (func $ask)))
