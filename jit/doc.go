// Package jit compiles register code to machine code that computes, charges,
// traps and stops exactly as the interpreter does. It must never decide what a
// program may do or what it costs: both stand in the register code already.
package jit
