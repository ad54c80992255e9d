// Package proc runs a network of the mesh as real processes on one machine, for trying things out and for tests that kill
// nodes. It must never do to a zone what an operator could not do by hand.
package proc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Config is what a node is, as its file says it. Relative paths are below the file's folder.
type Config struct {
	Identity  string   `json:"identity"`             // key file
	Dir       string   `json:"dir"`                  // everything that the node keeps
	Listen    []string `json:"listen,omitempty"`     // multiaddrs
	Peers     []string `json:"peers,omitempty"`      // multiaddrs of nodes to begin with
	Gateways  []string `json:"gateways,omitempty"`   // multiaddrs that a worker stands in for while none of them answers
	DHT       string   `json:"dht,omitempty"`        // auto, server or client
	LAN       bool     `json:"lan,omitempty"`        // find nodes by multicast DNS
	Relay     bool     `json:"relay,omitempty"`      // relay for nodes that cannot be reached
	Topics    []string `json:"topics,omitempty"`     // zones whose gossip it passes on beside its own
	Zones     []Zone   `json:"zones,omitempty"`      // that it takes part in
	Operators []string `json:"operators,omitempty"`  // public keys that may give it orders
	Metrics   string   `json:"metrics,omitempty"`    // host:port
	Log       string   `json:"log,omitempty"`        // text or json
	Level     string   `json:"log_level,omitempty"`  // debug, info, warn or error
	Cache     int64    `json:"cache,omitempty"`      // bytes of code and states
	Heartbeat string   `json:"heartbeat,omitempty"`  // duration, of voters
	Interp    bool     `json:"interp,omitempty"`     // run capsules interpreted only
	Near      []string `json:"near,omitempty"`       // public keys of peers that link_delay leaves out
	LinkDelay string   `json:"link_delay,omitempty"` // duration that everything sent is held, to try out long lines
}

// Zone is a zone and what the node does for it.
type Zone struct {
	Genesis  string   `json:"genesis"` // file
	Vote     bool     `json:"vote,omitempty"`
	Contacts []string `json:"contacts,omitempty"` // keys of voters, for one who joins later, beside the founders
	Work     *Work    `json:"work,omitempty"`
}

// Work is what a node offers to run.
type Work struct {
	Identity string `json:"identity"`         // key file of the worker, not the node's own
	Grants   string `json:"grants,omitempty"` // file with the right to work
	Slots    uint32 `json:"slots,omitempty"`
	Pages    uint32 `json:"pages,omitempty"` // of 64 KiB
}

const maxConfig = 1 << 20

// LoadConfig reads a configuration.
func LoadConfig(name string) (*Config, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if len(b) > maxConfig {
		return nil, fmt.Errorf("configuration %s: %d bytes, at most %d", name, len(b), maxConfig)
	}
	c := new(Config)
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", name, err)
	}
	dir := filepath.Dir(name)
	below := func(p *string) {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	below(&c.Identity)
	below(&c.Dir)
	for i := range c.Zones {
		below(&c.Zones[i].Genesis)
		if w := c.Zones[i].Work; w != nil {
			below(&w.Identity)
			below(&w.Grants)
		}
	}
	return c, nil
}

// save writes a configuration.
func (c *Config) save(name string) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(b, '\n'), 0o600)
}
