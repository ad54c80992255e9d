package handover

import (
	"strings"
	"testing"
)

// Each mutant is a mistake that somebody could make in this protocol. The
// model must find the harm in every one of them, or it proves nothing about
// the real rules.
func TestModelCatchesMutants(t *testing.T) {
	mutants := []struct {
		name   string
		mutate func(r *rules)
	}{
		{"resume after a blind timeout", func(r *rules) { r.impatient = true }},
		{"cancel answered but not committed", func(r *rules) {
			r.cancel = func(t Target, hop uint32, expires, now uint64) (Target, Verdict) {
				_, v := t.Cancel(hop, expires, now)
				return t, v
			}
		}},
		{"refusal answered but not committed", func(r *rules) {
			r.offer = func(t Target, hop uint32, expires, now uint64, fit bool) (Target, Verdict, bool) {
				next, v, fresh := t.Offer(hop, expires, now, fit)
				if v == Tombstone {
					return t, v, fresh
				}
				return next, v, fresh
			}
		}},
		{"no high-water mark", func(r *rules) {
			r.cancel = func(t Target, hop uint32, expires, now uint64) (Target, Verdict) {
				t, v := t.Cancel(hop, expires, now)
				t.Next = 0
				return t, v
			}
		}},
		{"forget before expiry", func(r *rules) {
			r.forget = func(t Target, _ uint64) Target { return t.Forget(^uint64(0)) }
		}},
		{"forget before the source closed", func(r *rules) {
			r.forget = func(t Target, now uint64) Target {
				for i := range t.Taken {
					t.Taken[i].Closed = true
				}
				return t.Forget(now)
			}
		}},
		{"use a hop number again", func(r *rules) {
			r.answer = func(s Source, hop uint32, v Verdict) (Source, error) {
				next, err := s.Answer(hop, v)
				if err == nil && next.Phase == Running {
					next.Hop = s.Hop
				}
				return next, err
			}
		}},
		{"forget by the last hop's expiry alone", func(r *rules) {
			r.hops = 3
			offer, cancel := r.offer, r.cancel
			r.offer = func(t Target, hop uint32, expires, now uint64, fit bool) (Target, Verdict, bool) {
				next, v, fresh := offer(t, hop, expires, now, fit)
				if next.Next != t.Next {
					next.Until = expires
				}
				return next, v, fresh
			}
			r.cancel = func(t Target, hop uint32, expires, now uint64) (Target, Verdict) {
				next, v := cancel(t, hop, expires, now)
				if next.Next != t.Next {
					next.Until = expires
				}
				return next, v
			}
		}},
		{"accept after expiry", func(r *rules) {
			r.offer = func(t Target, hop uint32, expires, _ uint64, fit bool) (Target, Verdict, bool) {
				return t.Offer(hop, expires, 0, fit)
			}
		}},
		{"believe any answer", func(r *rules) {
			r.answer = func(s Source, _ uint32, v Verdict) (Source, error) { return s.Answer(s.Hop, v) }
		}},
		{"say accepted again as if it were new", func(r *rules) {
			r.offer = func(t Target, hop uint32, expires, now uint64, fit bool) (Target, Verdict, bool) {
				next, v, _ := t.Offer(hop, expires, now, fit)
				return next, v, v == Accepted
			}
		}},
	}
	for _, m := range mutants {
		t.Run(strings.ReplaceAll(m.name, " ", "-"), func(t *testing.T) {
			r := realRules()
			m.mutate(&r)
			states, v := explore(r)
			if v == nil {
				t.Fatalf("%d states and no harm found: the model is blind to this mistake", states)
			}
			t.Logf("after %d states: %v\n%s", states, v.err, strings.Join(v.trail, "\n"))
		})
	}
}
