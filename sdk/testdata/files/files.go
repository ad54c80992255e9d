// Package files holds a capsule's function that asks for what no capsule has.
package files

import (
	"os"

	"github.com/kitwork/kwnode/kit"
)

// Load finds no file, wherever it runs.
func Load(ctx kit.Context, name string) (string, error) {
	b, err := os.ReadFile(name)
	return string(b), err
}
