// Package zone is one voter of one zone: it joins the log, the state machine, the store and the certificates, and performs
// what the state machine asks for. It must never know how peers are reached, who asks, or how a capsule is run.
package zone
