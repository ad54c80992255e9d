package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/jit"
)

// ability is one thing that builds differ in: by platform, build tag or what the machine offers.
type ability struct {
	Name      string `json:"name"`
	Available bool   `json:"available"`
	Detail    string `json:"detail"` // what is used, or what serves instead
}

// abilities are asked in this order by kwnode version.
var abilities = []func() ability{
	func() ability {
		if runtime.GOOS == "windows" {
			return ability{"private key files", false, "mode bits are not checked here; protect the files with access control lists"}
		}
		return ability{"private key files", true, "mode 0600, refused when others can read them"}
	},
	func() ability {
		if !jit.Supported() {
			return ability{"compiled execution", false, "capsules are interpreted on this platform, with the same results and gas"}
		}
		return ability{"compiled execution", true, "what runs hot becomes machine code; the rest is interpreted"}
	},
	func() ability {
		if raceDetector {
			return ability{"race detector", true, "for tests: 5 to 10 times slower"}
		}
		return ability{"race detector", false, "build with -race, which needs cgo"}
	},
}

type versionReport struct {
	Version   string    `json:"version"`
	Revision  string    `json:"revision,omitempty"`
	Go        string    `json:"go"`
	Platform  string    `json:"platform"`
	Format    int       `json:"capsule_format"`
	Abilities []ability `json:"abilities"`
}

func newVersionCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say what this build is and what it can do on this machine",
		Example: `  kwnode version
  kwnode version --json`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return version(cmd.OutOrStdout(), asJSON)
		},
	}
	addJSON(cmd, &asJSON)
	return cmd
}

func version(w io.Writer, asJSON bool) error {
	r := versionReport{
		Version:  "unknown",
		Go:       runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Format:   capsule.Version,
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		r.Version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				r.Revision = s.Value
			}
		}
	}
	for _, ask := range abilities {
		r.Abilities = append(r.Abilities, ask())
	}
	if asJSON {
		return printJSON(w, r)
	}
	fmt.Fprintf(w, "kwnode %s %s\n%s, %s, capsule format %d\n", r.Version, r.Revision, r.Platform, r.Go, r.Format)
	for _, a := range r.Abilities {
		mark := "no "
		if a.Available {
			mark = "yes"
		}
		if _, err := fmt.Fprintf(w, "%s  %s: %s\n", mark, a.Name, a.Detail); err != nil {
			return err
		}
	}
	return nil
}
