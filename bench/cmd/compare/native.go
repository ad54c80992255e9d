package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/kitwork/kwnode/bench/kernels"
	"github.com/kitwork/kwnode/bench/programs"
)

// native compiles the kernels' C sources for this machine and runs them in
// processes of their own, which measure their own CPU time.
type native struct {
	cc, dir string
	built   map[string]string
}

const nativeMain = `#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
#include <time.h>
int64_t run(int32_t n);
int main(int argc, char **argv) {
  struct timespec a, b;
  int32_t n = atoi(argv[1]);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
  volatile int64_t r = run(n);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
  (void)r;
  printf("%lld\n", (b.tv_sec - a.tv_sec) * 1000000000ll + (b.tv_nsec - a.tv_nsec));
  return 0;
}
`

// newNative returns nil when it isn't wanted or there is no C compiler; a nil
// native runs nothing.
func newNative(wanted bool) (*native, func()) {
	none := func() {}
	if !wanted {
		return nil, none
	}
	cc, err := exec.LookPath("gcc")
	if err != nil {
		fmt.Fprintln(os.Stderr, "no gcc: the native column is left out")
		return nil, none
	}
	dir, err := os.MkdirTemp("", "kernels")
	if err != nil {
		return nil, none
	}
	return &native{cc: cc, dir: dir, built: map[string]string{}}, func() { os.RemoveAll(dir) }
}

func (n *native) run(p *programs.Program) (time.Duration, bool, error) {
	if n == nil || p.Language != "c" {
		return 0, false, nil
	}
	bin, ok, err := n.build(p.Name)
	if !ok || err != nil {
		return 0, false, err
	}
	out, err := exec.Command(bin, strconv.Itoa(int(p.Args[0]))).Output()
	if err != nil {
		return 0, false, fmt.Errorf("native: %w", err)
	}
	ns, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		return 0, false, fmt.Errorf("native: %w", err)
	}
	return time.Duration(ns), true, nil
}

func (n *native) build(name string) (string, bool, error) {
	if bin, ok := n.built[name]; ok {
		return bin, bin != "", nil
	}
	source, header, ok := kernels.Source(name)
	if !ok {
		n.built[name] = ""
		return "", false, nil
	}
	bin := filepath.Join(n.dir, name)
	for path, text := range map[string]string{bin + ".c": string(source), bin + "_main.c": nativeMain, filepath.Join(n.dir, "kernel.h"): string(header)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", false, err
		}
	}
	if out, err := exec.Command(n.cc, "-O2", "-o", bin, bin+".c", bin+"_main.c", "-lm").CombinedOutput(); err != nil {
		return "", false, fmt.Errorf("native: %w\n%s", err, out)
	}
	n.built[name] = bin
	return bin, true, nil
}
