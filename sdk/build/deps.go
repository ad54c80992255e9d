package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kitwork/kwnode/internal/atomicfile"
)

// outside are packages whose work a capsule can't do: it has no network, processes or machine of its own.
var outside = map[string]string{
	"net":         "a capsule has no network; do the input and output in the client, or keep it in the zone's data",
	"net/http":    "a capsule has no network; do the input and output in the client, or keep it in the zone's data",
	"os/exec":     "a capsule can't start processes; do that in the client and pass the outcome as input",
	"os/signal":   "a capsule gets no signals; cancel it from the client",
	"os/user":     "a capsule has no user account; pass the name as input",
	"plugin":      "a capsule can't load code; import the package instead",
	"runtime/cgo": "C code has to be compiled to WebAssembly by itself and submitted as a .wasm file",
	"C":           "C code has to be compiled to WebAssembly by itself and submitted as a .wasm file",

	kitModule + "/sdk": "the client belongs outside of the capsule's function",
}

// kitModule is the module that this package, and package kit, are part of.
const kitModule = "github.com/kitwork/kwnode"

// checkDeps refuses what would compile, or fail to, but never work.
func checkDeps(src Source, deps []pkg) error {
	importer := map[string]string{}
	for _, p := range deps {
		if p.Standard {
			continue
		}
		for _, imp := range p.Imports {
			if importer[imp] == "" {
				importer[imp] = p.ImportPath
			}
		}
	}
	for _, p := range deps {
		if p.Standard {
			continue
		}
		for _, imp := range p.Imports {
			instead, bad := outside[imp]
			if !bad {
				continue
			}
			chain := imp
			for at := p.ImportPath; at != "" && strings.Count(chain, " by ") < 8; at = importer[at] {
				chain += " imported by " + at
				if at == importer[at] {
					break
				}
			}
			return &Refusal{src.String(), "it needs package " + chain, instead}
		}
	}
	for _, p := range deps {
		if p.Error != nil {
			return fmt.Errorf("build %s: package %s: %s", src, p.ImportPath, p.Error.Err)
		}
	}
	return nil
}

func checkSize(src Source, code []byte, deps []pkg, limit int) error {
	if limit == 0 {
		limit = MaxCode
	}
	if len(code) <= limit {
		return nil
	}
	type weight struct {
		path string
		size int64
	}
	var ws []weight
	for _, p := range deps {
		w := weight{path: p.ImportPath}
		for _, f := range slices.Concat(p.GoFiles, p.EmbedFiles) {
			if st, err := os.Stat(filepath.Join(p.Dir, f)); err == nil {
				w.size += st.Size()
			}
		}
		if !strings.HasPrefix(p.ImportPath, "runtime") {
			ws = append(ws, w)
		}
	}
	slices.SortFunc(ws, func(a, b weight) int { return int(b.size - a.size) })
	var names []string
	for _, w := range ws[:min(len(ws), 5)] {
		names = append(names, w.path)
	}
	return fmt.Errorf("build %s: %w: %d bytes, at most %d; import less (the largest packages are %s), "+
		"or raise the limit if the zone's policy allows", src, ErrTooLarge, len(code), limit, strings.Join(names, ", "))
}

// cachePath names the finished module by everything that it depends on: toolchain, overlay and the content of every file.
// The standard library is covered by the toolchain, modules of the module cache by their version.
func cachePath(dir string, tc *toolchain, src Source, ov *overlayFiles, deps []pkg) (string, error) {
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("no cache folder: %w; name one in the options", err)
		}
		dir = filepath.Join(user, "kitwork", "build")
	}
	h := sha256.New()
	fmt.Fprintf(h, "build 2\n%s\n%s\n%s\n", tc.version, modFlags(), src.Func)
	for _, p := range deps {
		if p.Standard {
			continue
		}
		fmt.Fprintf(h, "package %s\n", p.ImportPath)
		if m := p.Module; m != nil && m.Version != "" && (m.Replace == nil || m.Replace.Version != "") {
			fmt.Fprintf(h, "module %s %s %v\n", m.Path, m.Version, m.Replace)
			continue
		}
		for _, f := range slices.Concat(p.GoFiles, p.SFiles, p.EmbedFiles) {
			name := filepath.Join(p.Dir, f)
			if moved, ok := ov.files[name]; ok {
				name = moved
			}
			if err := hashFile(h, f, name); err != nil {
				return "", err
			}
		}
	}
	return filepath.Join(dir, hex.EncodeToString(h.Sum(nil)[:20])+".wasm"), nil
}

func hashFile(h io.Writer, label, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	fmt.Fprintf(h, "file %s %d\n", label, st.Size())
	_, err = io.Copy(h, f)
	return err
}

// A cached file is the SHA-256 of the module and the module, so that a file cut short by a full disk is no module.
func readCached(name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if len(b) < sha256.Size || sha256.Sum256(b[sha256.Size:]) != [32]byte(b[:sha256.Size]) {
		return nil, fmt.Errorf("%s is damaged", name)
	}
	return b[sha256.Size:], nil
}

// writeCached does its best: a cache that can't be written costs time, not correctness.
func writeCached(name string, code []byte) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return
	}
	sum := sha256.Sum256(code)
	_ = atomicfile.WriteUnflushed(name, append(sum[:], code...), 0o600)
}
