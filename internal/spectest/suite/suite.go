// Package suite finds and reads the archive of the WebAssembly specification's tests; it must never know what is tested
// with them.
package suite

import (
	"archive/zip"
	"encoding/json"
	"io"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

const archive = "spectest-2.0.zip"

// Suite is the opened archive.
type Suite struct {
	t     testing.TB
	files map[string]*zip.File
}

// Open opens the suite until the test ends. Without it the test is skipped, and says where to get it: .ci/run doesn't
// accept that.
func Open(t testing.TB) *Suite {
	t.Helper()
	for _, name := range places(t) {
		z, err := zip.OpenReader(name)
		if err != nil {
			continue
		}
		t.Cleanup(func() { z.Close() })
		s := &Suite{t, map[string]*zip.File{}}
		for _, f := range z.File {
			s.files[f.Name] = f
		}
		return s
	}
	t.Skip("the WebAssembly specification's tests are missing: run vm/testdata/spec/get.sh, or set KW_SPECTEST to their folder")
	return nil
}

// places lists where the archive may be: where KW_SPECTEST says, or else beside get.sh or in the folder that is shared by
// several copies of the repository.
func places(t testing.TB) []string {
	if set := os.Getenv("KW_SPECTEST"); set != "" {
		return []string{filepath.Join(set, archive), set}
	}
	root, err := os.Getwd()
	for err == nil {
		if _, e := os.Stat(filepath.Join(root, "go.mod")); e == nil {
			return []string{filepath.Join(root, "vm", "testdata", "spec", archive), filepath.Join(root, "..", "shared", "spectest", archive)}
		}
		if root == filepath.Dir(root) {
			break
		}
		root = filepath.Dir(root)
	}
	t.Fatalf("no module around the test's folder: %v", err)
	return nil
}

// Scripts are the names of the scripts' command lists, in order.
func (s *Suite) Scripts() []string {
	var names []string
	for name := range s.files {
		if strings.HasSuffix(name, ".json") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// Commands decodes a script's list of commands into the fields of T that have their names.
func Commands[T any](s *Suite, script string) []T {
	s.t.Helper()
	var list struct {
		Commands []T `json:"commands"`
	}
	if err := json.Unmarshal(s.Read(script), &list); err != nil {
		s.t.Fatalf("%s: %v", script, err)
	}
	return list.Commands
}

// Beside reads a file that a script's command names.
func (s *Suite) Beside(script, file string) []byte {
	s.t.Helper()
	return s.Read(path.Join(path.Dir(script), file))
}

// Read reads a file of the archive.
func (s *Suite) Read(name string) []byte {
	s.t.Helper()
	f := s.files[name]
	if f == nil {
		s.t.Fatalf("the suite has no %s", name)
	}
	r, err := f.Open()
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}
