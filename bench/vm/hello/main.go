//go:build wasip1

// The smallest Go program that does something with the standard library.
package main

import "fmt"

func main() { fmt.Println("hello,", 6*7) }
