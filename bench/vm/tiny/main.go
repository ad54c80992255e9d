//go:build wasip1

// What every Go program begins with: the runtime, and a line of text.
package main

func main() { println("hello,", 6*7) }
