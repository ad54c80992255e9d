;; Imports the memory, table and functions of another instance.
(module
  (import "a" "memory" (memory 1))
  (import "a" "count" (func $count (param i32) (result i64)))
  (import "a" "depth" (global $depth (mut i32)))
  (func (export "run") (param i32) (result i64)
    (global.set $depth (i32.const 5))
    (i32.store (i32.const 8) (local.get 0))
    (i64.add (call $count (local.get 0)) (call $count (i32.load (i32.const 8))))))
