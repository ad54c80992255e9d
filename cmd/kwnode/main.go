// Command kwnode is a node of the mesh and the tools around it. It only parses, calls and prints, and must never hold a rule
// of its own: what a command does stands in the package that it calls.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
