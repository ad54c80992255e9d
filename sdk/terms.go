package sdk

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/sdk/build"
)

// Terms are what an author decides about a capsule besides its code and input: where it may go, what it may do there,
// and what it may cost.
type Terms struct {
	Home   capsule.ZoneID // zero: the only zone that the client trusts
	Stops  []capsule.Stop // zones that the code calls by name
	Needs  []capsule.Need // Zone zero means home; Ability zero means what the imports say
	Chains []capsule.Chain

	Gas      uint64 // zero: DefaultGas
	MaxPrice uint64 // credits per million units; zero: DefaultMaxPrice
	MinUnits uint64
	Payer    capsule.Key // zero: the author
	Limits   capsule.Limits
	Silence  capsule.Silence
	Lifetime time.Duration // zero: DefaultLifetime
	Ahead    int64         // see PrepareOptions
	Build    build.Options // of Run and Start

	name string // of the home zone, to be looked up
}

// Defaults of Terms.
const (
	DefaultLifetime = 10 * time.Minute
	DefaultMaxPrice = 1_000_000
	DefaultGas      = 50_000_000
)

// Option changes terms.
type Option func(*Terms)

// Gas limits what the capsule may use on its whole journey, in units.
func Gas(units uint64) Option { return func(t *Terms) { t.Gas = units } }

// MaxPrice is the price, in credits per million units, above which a zone must refuse.
func MaxPrice(credits uint64) Option { return func(t *Terms) { t.MaxPrice = credits } }

// Zone names the zone that admits the capsule, as the client's book calls it.
func Zone(name string) Option { return func(t *Terms) { t.name = name } }

// Home is Zone by identity.
func Home(id capsule.ZoneID) Option { return func(t *Terms) { t.Home = id } }

// Stop lets the code go to a zone under a name.
func Stop(name string, id capsule.ZoneID) Option {
	return func(t *Terms) { t.Stops = append(t.Stops, capsule.Stop{Name: name, Zone: id}) }
}

// Keys asks for access to a resource of the home zone, such as "kv/orders/*", to whatever extent the code can make use
// of: what it may do there follows from its imports.
func Keys(resource string) Option { return func(t *Terms) { t.need(capsule.ZoneID{}, resource, 0) } }

// KeysIn is Keys in another zone.
func KeysIn(zone capsule.ZoneID, resource string) Option {
	return func(t *Terms) { t.need(zone, resource, 0) }
}

// Need asks for named abilities on a resource of the home zone.
func Need(resource string, a capsule.Ability) Option {
	return func(t *Terms) { t.need(capsule.ZoneID{}, resource, a) }
}

func (t *Terms) need(zone capsule.ZoneID, resource string, a capsule.Ability) {
	t.Needs = append(t.Needs, capsule.Need{Zone: zone, Resource: resource, Ability: a})
}

// Grants attaches chains of grants.
func Grants(chains ...capsule.Chain) Option {
	return func(t *Terms) { t.Chains = append(t.Chains, chains...) }
}

// Payer names whose account is charged; one of the attached chains must permit it.
func Payer(k capsule.Key) Option { return func(t *Terms) { t.Payer = k } }

// Lifetime is how long the capsule may take from now, waiting included.
func Lifetime(d time.Duration) Option { return func(t *Terms) { t.Lifetime = d } }

// Limits bound what the capsule may hold. Its zones charge rent for Limits.StateBytes, so less is cheaper.
func Limits(l capsule.Limits) Option { return func(t *Terms) { t.Limits = l } }

// Ahead bounds the gas that the pure part may use here, on the client; below zero nothing runs here.
func Ahead(units int64) Option { return func(t *Terms) { t.Ahead = units } }

// OnBuild is told how the build of the function gets on.
func OnBuild(progress func(build.Progress)) Option {
	return func(t *Terms) { t.Build.Progress = progress }
}

// OnSilence says what happens if another zone never answers.
func OnSilence(s capsule.Silence) Option { return func(t *Terms) { t.Silence = s } }

func newTerms(options []Option) Terms {
	t := Terms{Lifetime: DefaultLifetime, MaxPrice: DefaultMaxPrice}
	for _, o := range options {
		o(&t)
	}
	return t
}

// manifest fills in what terms say. Code and state are the caller's to add.
func (t *Terms) manifest(now time.Time) (*capsule.Manifest, error) {
	m := &capsule.Manifest{
		Home: t.Home, Itinerary: t.Stops, Limits: t.Limits, Gas: t.Gas, MaxPrice: t.MaxPrice, MinUnits: t.MinUnits,
		Payer: t.Payer, Silence: t.Silence, Expires: uint64(now.Add(t.Lifetime).UnixMilli()),
	}
	if _, err := rand.Read(m.Nonce[:]); err != nil {
		return nil, fmt.Errorf("draw a nonce: %w", err)
	}
	return m, nil
}
