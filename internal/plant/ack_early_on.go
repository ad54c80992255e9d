//go:build plant_ack_early

package plant

// AckEarly answers a proposal when it is applied here, before a quorum has signed its outcome.
const AckEarly = true
