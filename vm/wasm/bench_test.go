package wasm

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

const guestSource = `package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	b, _ := json.Marshal(map[string]any{"args": os.Args, "n": []int{1, 2, 3}})
	fmt.Println(string(b))
}
`

var guest struct {
	once sync.Once
	b    []byte
	err  error
}

// goGuest is a program of standard Go built for WebAssembly by the toolchain that runs the test.
func goGuest(t testing.TB) []byte {
	t.Helper()
	guest.once.Do(func() {
		dir, err := os.MkdirTemp("", "guest")
		if err != nil {
			guest.err = err
			return
		}
		defer os.RemoveAll(dir)
		for name, text := range map[string]string{"main.go": guestSource, "go.mod": "module guest\n\ngo 1.26\n"} {
			if guest.err = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); guest.err != nil {
				return
			}
		}
		cmd := exec.Command("go", "build", "-o", "guest.wasm", ".")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOWORK=off", "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			guest.err = err
			t.Logf("%s", out)
			return
		}
		guest.b, guest.err = os.ReadFile(filepath.Join(dir, "guest.wasm"))
	})
	if guest.err != nil {
		t.Fatal(guest.err)
	}
	return guest.b
}

func BenchmarkDecode(b *testing.B) {
	wasm := goGuest(b)
	b.SetBytes(int64(len(wasm)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(wasm, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReader(b *testing.B) {
	m, err := Decode(goGuest(b), 0)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n = 0
		var in Instr
		for i := range m.Code {
			r := NewReader(m, &m.Code[i])
			for r.Next(&in) {
				n++
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n)/float64(b.N), "ns/instr")
}
