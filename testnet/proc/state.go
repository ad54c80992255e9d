package proc

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/atomicfile"
)

// Files of a network, below its folder.
const (
	stateFile  = "net.json"
	RootKey    = "root.key"
	ClientKey  = "client.key"
	GrantsFile = "client.grants"
	BookDir    = "zones"
)

// State is what a network's folder says of it.
type State struct {
	Zones []ZoneState `json:"zones"`
	Nodes []NodeState `json:"nodes"`
	Ready bool        `json:"ready"` // it was furnished once
	// Delay is what is added to every link, as a duration: clients add it too.
	Delay   string `json:"link_delay,omitempty"`
	Control string `json:"control,omitempty"`
	Token   string `json:"token,omitempty"`
}

// ZoneState is one zone.
type ZoneState struct {
	Name    string         `json:"name"`
	ID      capsule.ZoneID `json:"id"`
	Root    string         `json:"root"` // key file, below the network's folder
	Genesis string         `json:"genesis"`
}

// NodeState is one node.
type NodeState struct {
	Name string      `json:"name"`
	Zone string      `json:"zone"`
	Key  capsule.Key `json:"key"`
	Addr string      `json:"addr"` // multiaddr with the peer ID
	Vote bool        `json:"vote"`
	// Gateway marks a node of no zone. Worker is the key under which a node works.
	Gateway bool         `json:"gateway,omitempty"`
	Worker  *capsule.Key `json:"worker,omitempty"`
	// Cut marks a node on the small side of a partition.
	Cut bool `json:"cut,omitempty"`
	PID int  `json:"pid,omitempty"`
	// Status is running, stopped (killed or ended) or paused.
	Status string `json:"status"`
}

// ReadState reads what a network's folder says.
func ReadState(dir string) (*State, error) {
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return nil, err
	}
	st := new(State)
	if err := json.Unmarshal(b, st); err != nil {
		return nil, fmt.Errorf("%s: %w; remove the folder to begin anew", filepath.Join(dir, stateFile), err)
	}
	return st, nil
}

// settle notes that nothing runs.
func (st *State) settle() {
	st.Control, st.Token = "", ""
	for i := range st.Nodes {
		s := &st.Nodes[i]
		s.PID, s.Status, s.Cut = 0, "stopped", false
	}
}

// Look is ReadState as things are: a process that was killed had no time to write that its network ended with it. gone says
// that this is so.
func Look(dir string) (st *State, gone bool, err error) {
	if st, err = ReadState(dir); err != nil {
		return nil, false, err
	}
	if gone = st.Control != "" && !held(st); gone {
		st.settle()
	}
	return st, gone, nil
}

// Settle has the folder of a network whose process is gone say so, and reports whether it was.
func Settle(dir string) (bool, error) {
	st, gone, err := Look(dir)
	if err != nil || !gone {
		return false, err
	}
	return true, st.save(dir)
}

// save writes the state. n.mu is held.
func (n *Net) save() error { return n.state.save(n.opt.Dir) }

func (st *State) save(dir string) error {
	b, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, stateFile), append(b, '\n'), 0o600)
}

// State is a copy of how the network stands.
func (n *Net) State() State {
	n.mu.Lock()
	defer n.mu.Unlock()
	st := n.state
	st.Zones, st.Nodes = slices.Clone(st.Zones), slices.Clone(st.Nodes)
	return st
}
