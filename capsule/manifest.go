package capsule

import (
	"fmt"
	"slices"
	"strings"
)

// Stop gives a zone the name by which the code inside the capsule calls it.
type Stop struct {
	_    struct{} `cbor:",toarray"`
	Name string   `json:"name"`
	Zone ZoneID   `json:"zone"`
}

// Need is something that the capsule will do: the zone checks it against the grants before admission.
type Need struct {
	_        struct{} `cbor:",toarray"`
	Zone     ZoneID   `json:"zone"`
	Resource string   `json:"resource"`
	Ability  Ability  `json:"ability"`
}

// Limits bound what an execution can make any machine hold, so they belong to the capsule and not to
// the machine.
type Limits struct {
	_           struct{} `cbor:",toarray"`
	MemoryPages uint32   `json:"memory_pages"` // 64 KiB each, all memories together
	TableElems  uint32   `json:"table_elems"`  // all tables together
	Depth       uint32   `json:"depth"`        // calls
	StateBytes  uint64   `json:"state_bytes"`  // live state at any boundary, uncompressed: what storage rent is computed from
}

// Silence is what the owner does about a handover whose other side never answers.
type Silence uint8

const (
	Hold    Silence = iota // wait, for ever if need be; the gas stays held
	Abandon                // give the capsule and its gas up
	Fork                   // start a copy under a new ID: at least once, explicitly
)

var silenceNames = [...]string{Hold: "hold", Abandon: "abandon", Fork: "fork"}

// String returns "hold", "abandon" or "fork".
func (s Silence) String() string {
	if int(s) < len(silenceNames) {
		return silenceNames[s]
	}
	return fmt.Sprintf("silence(%d)", uint8(s))
}

// MarshalText makes JSON show a Silence as String does.
func (s Silence) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Silence) UnmarshalText(b []byte) error {
	i := slices.Index(silenceNames[:], string(b))
	if i < 0 {
		return fmt.Errorf("unknown silence %q; know %s", clip(string(b)), strings.Join(silenceNames[:], ", "))
	}
	*s = Silence(i)
	return nil
}

// Manifest is what an author signs: which logic, from which state, where, with which rights and at which
// cost. All times are milliseconds of the home zone; gas is in units, prices in credits a million units.
type Manifest struct {
	_            struct{} `cbor:",toarray"`
	V            uint8    `json:"v"`
	Author       Key      `json:"author"`
	Home         ZoneID   `json:"home"`       // admits the capsule, once for each nonce
	Code         CID      `json:"code"`       // the WebAssembly module
	Base         CID      `json:"base"`       // memory image that State differs from, or absent
	State        CID      `json:"state"`      // continuation, or absent: a fresh start
	StateHash    Hash     `json:"state_hash"` // of the logical state. Invariant: zero if and only if State is absent
	Entry        string   `json:"entry"`      // exported function of a fresh start
	Input        []byte   `json:"input"`      // of a fresh start. Invariant: empty if State is present, which holds its input
	Itinerary    []Stop   `json:"itinerary"`  // Invariant: sorted by name, each name once
	Needs        []Need   `json:"needs"`      // Invariant: sorted by zone and resource, in zones that are home or a stop
	Limits       Limits   `json:"limits"`
	Gas          uint64   `json:"gas"`       // limit for the whole journey
	MaxPrice     uint64   `json:"max_price"` // beyond it, a zone must refuse rather than run
	MinUnits     uint64   `json:"min_units"` // fewer than these after conversion, and a target zone must refuse the hop
	Payer        Key      `json:"payer"`     // whose account is charged; if not the author's, a chain from the payer permits it
	Silence      Silence  `json:"silence"`
	NotBefore    uint64   `json:"not_before"` // inclusive
	Expires      uint64   `json:"expires"`    // exclusive
	Grants       []Hash   `json:"grants"`     // leaf payloads of the attached chains, in their order
	Seed         Hash     `json:"seed"`       // of the randomness that the execution so far has used
	Nonce        Nonce    `json:"nonce"`
	MeterVersion uint16   `json:"meter_version"` // of the table that gas is counted by
}

// Fresh reports whether the capsule starts from its entry rather than from a continuation.
func (m *Manifest) Fresh() bool { return m.State.IsZero() }

// Stop returns the zone that the itinerary calls name.
func (m *Manifest) Stop(name string) (ZoneID, bool) {
	for _, s := range m.Itinerary {
		if s.Name == name {
			return s.Zone, true
		}
	}
	return ZoneID{}, false
}

// Reaches reports whether z is the home zone or a stop.
func (m *Manifest) Reaches(z ZoneID) bool {
	if z == m.Home {
		return true
	}
	for _, s := range m.Itinerary {
		if s.Zone == z {
			return true
		}
	}
	return false
}

// check applies every rule that the manifest keeps by itself.
func (m *Manifest) check() *Refusal {
	for _, rule := range []func(*Manifest) *Refusal{
		(*Manifest).checkIdentity, (*Manifest).checkStart, (*Manifest).checkPlaces,
		(*Manifest).checkNeeds, (*Manifest).checkCost,
	} {
		if r := rule(m); r != nil {
			return r
		}
	}
	return nil
}

func (m *Manifest) checkIdentity() *Refusal {
	switch {
	case m.V != Version:
		return refuse(CodeVersion, "manifest version %d, know %d", m.V, Version)
	case m.Author.Weak() || m.Payer.Weak():
		return refuse(CodeField, "the author or the payer is a key that anybody can sign for")
	case m.Home.IsZero():
		return refuse(CodeField, "no home zone")
	case m.NotBefore >= m.Expires:
		return refuse(CodeField, "the capsule is never valid: it expires at %d ms and starts at %d ms", m.Expires, m.NotBefore)
	case m.Expires >= MaxGas:
		return refuse(CodeField, "the expiry is not below 2^62")
	case len(m.Grants) > MaxChains:
		return refuse(CodeSize, "%d chains, at most %d", len(m.Grants), MaxChains)
	}
	for i, h := range m.Grants {
		for _, earlier := range m.Grants[:i] {
			if h == earlier {
				return refuse(CodeField, "chain %d is named twice", i)
			}
		}
	}
	return nil
}

func (m *Manifest) checkStart() *Refusal {
	switch {
	case m.Code.Codec != Raw:
		return refuse(CodeField, "the code is absent or not a raw CID")
	case m.Fresh() != m.StateHash.IsZero():
		return refuse(CodeField, "a state and its hash come together")
	case m.Fresh() && !m.Base.IsZero():
		return refuse(CodeField, "a base image without a state that differs from it")
	case m.Fresh() && m.Entry == "":
		return refuse(CodeField, "a fresh start without an entry function")
	case !m.Fresh() && len(m.Input) > 0:
		return refuse(CodeField, "an input beside a state, which already holds its input")
	case len(m.Entry) > MaxEntry:
		return refuse(CodeSize, "the entry's name has %d bytes, at most %d", len(m.Entry), MaxEntry)
	case len(m.Input) > MaxInput:
		return refuse(CodeSize, "%d bytes of input, at most %d", len(m.Input), MaxInput)
	case m.Limits.MemoryPages > MaxMemoryPages:
		return refuse(CodeField, "%d memory pages, WebAssembly has at most %d", m.Limits.MemoryPages, MaxMemoryPages)
	}
	return nil
}

func (m *Manifest) checkPlaces() *Refusal {
	if len(m.Itinerary) > MaxItinerary {
		return refuse(CodeSize, "%d zones in the itinerary, at most %d", len(m.Itinerary), MaxItinerary)
	}
	for i, s := range m.Itinerary {
		switch {
		case len(s.Name) > MaxName || !isPath(s.Name) || strings.Contains(s.Name, "/"):
			return refuse(CodeField, "itinerary %d: the name is not 1 to %d of [a-z0-9._-]", i, MaxName)
		case s.Zone.IsZero():
			return refuse(CodeField, "itinerary %d: no zone", i)
		case i > 0 && m.Itinerary[i-1].Name >= s.Name:
			return refuse(CodeField, "itinerary %d: the names are not in ascending order", i)
		}
	}
	return nil
}

func (m *Manifest) checkNeeds() *Refusal {
	if len(m.Needs) > MaxNeeds {
		return refuse(CodeSize, "%d needs, at most %d", len(m.Needs), MaxNeeds)
	}
	for i, n := range m.Needs {
		reason := checkResource(n.Resource)
		if reason == "" {
			reason = n.Ability.check()
		}
		if reason == "" && !m.Reaches(n.Zone) {
			reason = "its zone is neither home nor a stop"
		}
		if reason == "" && i > 0 && compareNeeds(m.Needs[i-1], n) >= 0 {
			reason = "needs are not in ascending order of zone and resource"
		}
		if reason != "" {
			return refuse(CodeField, "need %d: %s", i, reason)
		}
	}
	return nil
}

func (m *Manifest) checkCost() *Refusal {
	switch {
	case m.Gas == 0 || m.Gas >= MaxGas:
		return refuse(CodeField, "gas %d is not between 1 and 2^62 - 1", m.Gas)
	case m.MaxPrice >= MaxGas:
		return refuse(CodeField, "the maximum price is not below 2^62")
	case m.MinUnits > m.Gas:
		return refuse(CodeField, "at least %d units a hop, but the gas limit is %d", m.MinUnits, m.Gas)
	case m.Limits.StateBytes >= MaxGas:
		return refuse(CodeField, "the state limit is not below 2^62")
	case m.Silence > Fork:
		return refuse(CodeField, "%s is not hold, abandon or fork", m.Silence)
	case m.MeterVersion == 0:
		return refuse(CodeField, "no meter version")
	}
	return nil
}
