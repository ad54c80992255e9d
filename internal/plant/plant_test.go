package plant_test

import (
	"flag"
	"os/exec"
	"strings"
	"testing"
)

var planted = flag.Bool("planted", false, "build the planted bugs and run the tests that must catch them; takes a minute or two")

// Every planted bug is caught by the tests that claim to notice it, and by what they say, not by a build that fails.
func TestPlanted(t *testing.T) {
	if !*planted {
		t.Skip("with -planted, as .ci/run does")
	}
	for _, b := range []struct{ tag, pkg, run, says string }{
		{"skip_sync", "../../zone", "^TestKillAtEverySyncPoint$", "snapshot snap-"},
		{"ack_early", "../../zone", "^TestAdmitIsCertified$", "certificate"},
		{"apply_twice", "../../zone/machine", "^TestNamespaces$", "a write happened twice"},
		{"forget_mark", "../../handover", "^TestModel$", ""},
		{"skip_grant", "../../zone/machine", "^TestAdmitRefused$", "want refusal"},
	} {
		t.Run(b.tag, func(t *testing.T) {
			out, err := exec.Command("go", "test", "-tags", "plant_"+b.tag, "-run", b.run, b.pkg).CombinedOutput()
			switch {
			case err == nil:
				t.Errorf("%s passes with the bug in it:\n%s", b.run, out)
			case !strings.Contains(string(out), "--- FAIL: "+strings.Trim(b.run, "^$")) || !strings.Contains(string(out), b.says):
				t.Errorf("%s did not fail as it should, want %q:\n%s", b.run, b.says, out)
			}
		})
	}
}
