package capsule

import (
	"fmt"
	"strings"
)

// Code is the reason of a refusal in one word: a metric label, and what a caller branches on.
type Code string

const (
	CodeSize      Code = "size"       // beyond a limit of the format
	CodeEncoding  Code = "encoding"   // not canonical, or not the structure
	CodeVersion   Code = "version"    // a format or meter that this code does not know
	CodeField     Code = "field"      // a field breaks its own rule
	CodeExpired   Code = "expired"    // the capsule's time is over
	CodeNotYet    Code = "not_yet"    // the capsule's time has not come
	CodeSignature Code = "signature"  // not the author's signature, or a key that anybody can sign for
	CodeChain     Code = "chain"      // the chains are not those that the manifest names
	CodeLink      Code = "link"       // a grant does not follow from its parent
	CodeWider     Code = "wider"      // a grant gives more than its parent has
	CodeGrantSig  Code = "grant_sig"  // not the issuer's signature on a grant
	CodeGrantTime Code = "grant_time" // a grant is not valid now
	CodeRoot      Code = "root"       // the chain starts at a key without authority over the zone
	CodeAudience  Code = "audience"   // the chain ends at somebody else than the author
	CodeNeed      Code = "need"       // asks for what no chain grants
	CodeGas       Code = "gas"        // asks for more gas than a chain grants
	CodePayer     Code = "payer"      // the payer did not permit the spending
)

// codeInfo says of every code what somebody who meets it can do, and whether the refusal is proven by
// the bytes alone.
var codeInfo = map[Code]struct {
	next     string
	provable bool
}{
	CodeSize:      {"move code, state or input into blobs, or drop chains", true},
	CodeEncoding:  {"encode it with this version's canonical CBOR", true},
	CodeVersion:   {"upgrade this node, or have the author sign for the version that it knows", false},
	CodeField:     {"have the author correct the field and sign again", true},
	CodeExpired:   {"have the author sign again with a later expiry", false},
	CodeNotYet:    {"submit it again when its time has come", false},
	CodeSignature: {"ask the author for the capsule again; these bytes are damaged or forged", true},
	CodeChain:     {"attach exactly the chains that the manifest names, in its order", true},
	CodeLink:      {"ask the issuer of that link to delegate from its parent", true},
	CodeWider:     {"ask the issuer of that link to narrow the grant", true},
	CodeGrantSig:  {"ask the issuer of that link for the grant again", true},
	CodeGrantTime: {"ask the issuer of that link for a grant that is valid now", false},
	CodeRoot:      {"ask a root of the zone, or the owner of the namespace, for a grant", false},
	CodeAudience:  {"have the holder of the grant delegate it to the author", true},
	CodeNeed:      {"ask for a grant that covers the need, or drop the need", true},
	CodeGas:       {"lower the gas limit, or ask for a grant with a higher ceiling", true},
	CodePayer:     {"attach a chain that starts at the payer and permits the spending in the home zone", true},
}

// Provable reports whether the bytes alone prove the refusal, so that whoever passed them on is to blame.
// Time, version and authority depend on who looks.
func (c Code) Provable() bool { return codeInfo[c].provable }

// NoIndex stands in a Refusal for "no chain" and "no link".
const NoIndex = -1

// Refusal is why a capsule or a chain may not exist here and now.
type Refusal struct {
	Code        Code
	Detail      string
	Chain, Link int   // of the grant at fault, or NoIndex
	Err         error // cause, if there is one: *EncodingError

	// Of the codes about time: refusing what expired happens a million times a second under a flood, so
	// its text is made only when somebody reads it.
	bound, now uint64
}

func (r *Refusal) Error() string {
	var s strings.Builder
	s.WriteString("refused (")
	s.WriteString(string(r.Code))
	s.WriteString(")")
	if r.Chain != NoIndex {
		fmt.Fprintf(&s, " in chain %d", r.Chain)
	}
	if r.Link != NoIndex {
		fmt.Fprintf(&s, " at link %d", r.Link)
	}
	for _, part := range []string{r.Detail, r.timeText(), errText(r.Err)} {
		if part != "" {
			s.WriteString(": ")
			s.WriteString(part)
		}
	}
	if next := codeInfo[r.Code].next; next != "" {
		s.WriteString("; ")
		s.WriteString(next)
	}
	return s.String()
}

func (r *Refusal) timeText() string {
	switch r.Code {
	case CodeExpired:
		return fmt.Sprintf("expired at %d ms, it is %d ms", r.bound, r.now)
	case CodeNotYet:
		return fmt.Sprintf("valid from %d ms, it is %d ms", r.bound, r.now)
	}
	return ""
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (r *Refusal) Unwrap() error { return r.Err }

func refuse(c Code, format string, args ...any) *Refusal {
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	return &Refusal{Code: c, Detail: format, Chain: NoIndex, Link: NoIndex}
}

// refuseEncoding wraps what Unmarshal or scan found.
func refuseEncoding(what string, err error) *Refusal {
	return &Refusal{Code: CodeEncoding, Detail: what, Chain: NoIndex, Link: NoIndex, Err: err}
}
