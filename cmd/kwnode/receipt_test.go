package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReceiptVerify(t *testing.T) {
	genuine, err := os.ReadFile("../../handover/testdata/journey.receipt")
	if err != nil {
		t.Fatal(err)
	}
	verify := func(b []byte, flags ...string) (int, string, string) {
		file := filepath.Join(t.TempDir(), "journey.receipt")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		status := run(append([]string{"receipt", "verify", file}, flags...), strings.NewReader(""), &out, &errs)
		return status, out.String(), errs.String()
	}
	status, out, errs := verify(genuine)
	if status != statusOK || !strings.Contains(out, "hop 3") || !strings.HasSuffix(out, "every signature holds\n") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	if status, out, _ := verify(genuine, "--json"); status != statusOK || !strings.Contains(out, `"verdict": "finished"`) {
		t.Errorf("status %d\n%s", status, out)
	}
	bad := bytes.Clone(genuine)
	bad[len(bad)/2] ^= 4
	if status, out, _ := verify(bad); status != statusRefused || strings.Contains(out, "holds") {
		t.Errorf("an altered receipt: status %d\n%s", status, out)
	}
	if status, _, _ := verify([]byte("no receipt")); status != statusRefused {
		t.Errorf("no receipt at all: status %d", status)
	}
}
