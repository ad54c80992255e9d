package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kitwork/kwnode/capsule"
)

// asProgram, set in the environment, makes the test binary the command itself.
const asProgram = "KWNODE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// TestScripts runs testdata/script, with kwnode as a process of its own. Every script finds these
// capsules, which are the same in every run: good.capsule, state.capsule (a continuation that is paid by
// somebody else), forged.capsule (one letter changed), torn.capsule (its second half missing).
func TestScripts(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("UPDATE_GOLDEN") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv(asProgram, "1")
			for name, b := range scriptCapsules(t) {
				if err := os.WriteFile(filepath.Join(e.WorkDir, name), b, 0o600); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"kwnode": func(ts *testscript.TestScript, neg bool, args []string) {
				if err := ts.Exec(self, args...); neg != (err != nil) {
					ts.Fatalf("kwnode ended with: %v", err)
				}
			},
		},
	})
}

func scriptCapsules(t *testing.T) map[string][]byte {
	t.Helper()
	root, author, payer := demoIdentity("root"), demoIdentity("author"), demoIdentity("payer")
	home, eu := capsule.ZoneID(capsule.Sum([]byte("home"))), capsule.ZoneID(capsule.Sum([]byte("eu")))
	const day = 86_400_000
	grant := func(id *capsule.Identity, resource string, a capsule.Ability) capsule.Chain {
		chain, err := id.Delegate(nil, capsule.Grant{
			Audience: author.Key(), Subject: home, Caps: []capsule.Cap{{Resource: resource, Ability: a}}, Gas: 1_000_000, Expires: 10 * day,
		})
		if err != nil {
			t.Fatal(err)
		}
		return chain
	}
	m := capsule.Manifest{
		Home: home, Code: capsule.RawCID([]byte("code")), Entry: "run", Input: []byte("seven b"), Gas: 5000, MaxPrice: 2, MinUnits: 10,
		Limits: capsule.Limits{MemoryPages: 16, TableElems: 8, Depth: 100, StateBytes: 4096}, Silence: capsule.Abandon,
		Itinerary: []capsule.Stop{{Name: "eu", Zone: eu}}, NotBefore: day, Expires: 2 * day, Nonce: capsule.Nonce{7}, MeterVersion: 1,
		Needs: []capsule.Need{{Zone: home, Resource: "kv/orders/17", Ability: capsule.Read | capsule.Write}},
	}
	seal := func(m capsule.Manifest, chains ...capsule.Chain) []byte {
		c, err := capsule.Seal(author, &m, chains)
		if err != nil {
			t.Fatal(err)
		}
		return c.Bytes()
	}
	orders := grant(root, "kv/orders/*", capsule.Read|capsule.Write|capsule.Delete)
	good := seal(m, orders)
	forged := bytes.Clone(good)
	forged[bytes.Index(forged, []byte("seven b"))] = 'S'
	resumed := m
	resumed.State, resumed.StateHash, resumed.Base, resumed.Input = capsule.RawCID([]byte("state")), capsule.Sum([]byte("logical")), capsule.RawCID([]byte("base")), nil
	resumed.Payer = payer.Key()
	return map[string][]byte{
		"good.capsule":   good,
		"forged.capsule": forged,
		"torn.capsule":   good[:len(good)/2],
		"state.capsule":  seal(resumed, orders, grant(payer, capsule.ResourceAccount, capsule.Spend)),
	}
}

func TestExitStatus(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "a.key")
	for _, c := range []struct {
		args   string
		status int
		stderr string // part of it
	}{
		{"", statusOK, ""},
		{"--help", statusOK, ""},
		{"version", statusOK, ""},
		{"keygen " + key, statusOK, ""},
		{"keygen " + key, statusFailed, "nothing was written"},
		{"keygen", statusUsage, "want FILE"},
		{"version 1", statusUsage, "want no arguments"},
		{"verzion", statusUsage, "did you mean version"},
		{"capsule inspekt x", statusUsage, "did you mean inspect"},
		{"keygen --nope x", statusUsage, "see kwnode keygen --help"},
		{"testnet play", statusUsage, "want FILE..., got 0 arguments"},
		{"testnet partition", statusUsage, "want NODE..., got 0 arguments"},
		{"testnet logs a b", statusUsage, "want [NODE], got 2 arguments"},
		{"testnet kill a --dir " + dir, statusFailed, "there is no network in " + dir + "; start one with kwnode testnet up --dir " + dir},
		{"capsule watch nope", statusUsage, "kwnode capsule list all of yours"},
		{"capsule inspect " + filepath.Join(dir, "none"), statusFailed, "none"},
		{"capsule inspect " + key, statusRefused, "refused (encoding)"},
	} {
		var stdout, stderr bytes.Buffer
		status := run(strings.Fields(c.args), strings.NewReader(""), &stdout, &stderr)
		if status != c.status || !strings.Contains(stderr.String(), c.stderr) {
			t.Errorf("kwnode %s: status %d, want %d; %s", c.args, status, c.status, stderr.String())
		}
	}
}

// TestEveryCommandHelps: whoever asks a command for help finds an example to copy.
func TestEveryCommandHelps(t *testing.T) {
	for _, cmd := range newRootCmd().Commands() {
		for _, c := range append(cmd.Commands(), cmd) {
			if c.Example == "" || c.Short == "" {
				t.Errorf("%s has no example or no short text", c.CommandPath())
			}
			if !strings.HasPrefix(strings.TrimSpace(c.Example), "kwnode ") {
				t.Errorf("%s: the example does not start with the command", c.CommandPath())
			}
		}
	}
}

func TestInputTooLarge(t *testing.T) {
	var stdout, stderr bytes.Buffer
	large := bytes.NewReader(make([]byte, capsule.MaxEnvelope+1))
	if status := run([]string{"capsule", "inspect", "-"}, large, &stdout, &stderr); status != statusRefused {
		t.Errorf("status %d: %s", status, stderr.String())
	}
}

// demoIdentity is fixed by its name, so that scripts see the same keys each time.
func demoIdentity(name string) *capsule.Identity {
	return capsule.IdentityFromSeed(capsule.Sum([]byte("kwnode demo " + name)))
}
