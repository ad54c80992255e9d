package admin

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node"
)

// Metrics is a handler that shows the node's figures in Prometheus's format. They are read when somebody asks.
func Metrics(n *node.Node, zones []capsule.ZoneID) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &figures{n, zones})
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}

type figures struct {
	n     *node.Node
	zones []capsule.ZoneID
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("kitwork_"+name, help, labels, nil)
}

var (
	descPeers      = desc("peers", "connected peers")
	descTopicPeers = desc("gossip_peers", "connected peers that take part in a zone's gossip", "zone", "what")
	descGossip     = desc("gossip_messages_total", "gossiped messages by what became of them", "zone", "verdict", "reason")
	descGossipLost = desc("gossip_lost_total", "messages and frames lost before they were judged or on their way out", "why")
	descShut       = desc("gossip_peers_shut_total", "peers cut off for what they gossiped")
	descScores     = desc("gossip_peers_by_score", "peers with a score, by how they stand", "what")
	descCut        = desc("peers_cut_total", "peers cut off for streams that said nothing or came to nothing")
	descGate       = desc("gate_shut_out", "peers and networks that are refused for a while", "what")
	descGated      = desc("gate_refused_total", "connections and dials that the gate refused")
	descStreams    = desc("streams_refused_total", "inbound streams refused, by why", "protocol", "why")
	descScore      = desc("gossip_lowest_score", "score of the worst peer")
	descDHT        = desc("dht_size", "routing table, records held for others, zones announced and members known", "what")
	descFind       = desc("dht_searches_total", "searches and checks by what became of them", "what")
	descForwarded  = desc("gateway_forwarded_total", "capsules that the gateway handed to a voter")
	descRefused    = desc("gateway_refused_total", "submissions that the gateway's checks refused")
	descLimited    = desc("gateway_limited_total", "submissions over a quota")
	descApplied    = desc("zone_applied_index", "newest entry applied here", "zone")
	descCommitted  = desc("zone_committed_index", "newest entry known to be committed", "zone")
	descSigned     = desc("zone_signed_index", "newest entry whose outcome this voter has signed", "zone")
	descLeader     = desc("zone_leader", "1 if this voter leads", "zone")
	descTerm       = desc("zone_term", "term of consensus", "zone")
	descEpoch      = desc("zone_epoch", "voter set", "zone")
	descTrouble    = desc("zone_trouble", "1 if time stands still, this voter doesn't sign, or has stopped", "zone", "what")
	descLive       = desc("zone_capsules_live", "capsules that have not ended", "zone")
	descQueued     = desc("zone_capsules_queued", "capsules that wait for a worker", "zone")
	descSlots      = desc("zone_slots_free", "free slots of all workers", "zone")
	descRunning    = desc("worker_running", "segments that run here", "zone")
	descSegments   = desc("worker_segments_total", "segments committed by this process", "zone")
)

func (f *figures) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(f, ch) }

func (f *figures) Collect(ch chan<- prometheus.Metric) {
	put := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	f.host(put)
	f.mesh(put)
	g := f.n.Gateway().Counts()
	put(descForwarded, counter, float64(g.Forwarded))
	put(descRefused, counter, float64(g.Refused))
	put(descLimited, counter, float64(g.Limited))
	for _, id := range f.zones {
		z := f.n.Voter(id)
		if z == nil {
			continue
		}
		st, err := status(z)
		if err != nil {
			continue // it is being closed
		}
		l := id.String()
		put(descApplied, gauge, float64(st.Applied), l)
		put(descCommitted, gauge, float64(st.Committed), l)
		put(descSigned, gauge, float64(st.Signed), l)
		put(descLeader, gauge, truth(st.Leader == st.Self), l)
		put(descTerm, gauge, float64(st.Term), l)
		put(descEpoch, gauge, float64(st.Epoch), l)
		put(descTrouble, gauge, truth(st.TimeError != ""), l, "time")
		put(descTrouble, gauge, truth(st.SignerError != ""), l, "signer")
		put(descTrouble, gauge, truth(st.Error != ""), l, "stopped")
		put(descLive, gauge, float64(st.Live), l)
		put(descQueued, gauge, float64(st.Queued), l)
		put(descSlots, gauge, float64(st.FreeSlots), l)
	}
	for _, w := range f.n.Workers() {
		st := w.Status()
		put(descRunning, gauge, float64(len(st.Running)), st.Zone.String())
		put(descSegments, counter, float64(st.Segments), st.Zone.String())
	}
}

// host shows the connections.
func (f *figures) host(put func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string)) {
	h := f.n.Host().Snapshot()
	put(descPeers, prometheus.GaugeValue, float64(len(h.Peers)))
	put(descCut, prometheus.CounterValue, float64(h.Shed))
	put(descGated, prometheus.CounterValue, float64(h.Refused))
	put(descGate, prometheus.GaugeValue, float64(h.ShutOut), "peers")
	put(descGate, prometheus.GaugeValue, float64(h.ShutNets), "networks")
	for _, p := range h.Protocols {
		if p.Served {
			for why, n := range map[string]uint64{"denied": p.Denied, "limited": p.Limited, "busy": p.Busy, "memory": p.Memory} {
				put(descStreams, prometheus.CounterValue, float64(n), p.ID, why)
			}
		}
	}
}

// mesh shows the gossip and the directory.
func (f *figures) mesh(put func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string)) {
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	m := f.n.Mesh().Snapshot()
	for _, t := range m.Topics {
		z := t.Zone.String()
		put(descTopicPeers, gauge, float64(len(t.Peers)), z, "connected")
		put(descTopicPeers, gauge, float64(len(t.Mesh)), z, "mesh")
		put(descGossip, counter, float64(t.Accepted), z, "accepted", "")
		put(descGossip, counter, float64(t.Duplicates), z, "duplicate", "")
		put(descGossip, counter, float64(t.Undelivered), z, "undelivered", "")
		for reason, n := range t.Rejected {
			put(descGossip, counter, float64(n), z, "rejected", reason)
		}
		for reason, n := range t.Ignored {
			put(descGossip, counter, float64(n), z, "ignored", reason)
		}
	}
	put(descGossipLost, counter, float64(m.OverQuota), "quota")
	put(descGossipLost, counter, float64(m.Frames), "frames")
	put(descGossipLost, counter, float64(m.Malformed), "malformed")
	put(descGossipLost, counter, float64(m.QueueFull), "queue")
	put(descGossipLost, counter, float64(m.Dropped), "slow_reader")
	put(descShut, counter, float64(m.Shut))
	stand := map[string]int{"good": 0, "negative": 0, "graylisted": 0}
	for _, p := range m.Scores {
		switch {
		case p.Graylisted:
			stand["graylisted"]++
		case p.Score < 0:
			stand["negative"]++
		default:
			stand["good"]++
		}
	}
	for what, n := range stand {
		put(descScores, gauge, float64(n), what)
	}
	if len(m.Scores) > 0 {
		put(descScore, gauge, m.Scores[0].Score)
	}
	d := f.n.Finder().Snapshot()
	announced := 0
	for _, p := range d.Provided {
		if p.Err == "" && !p.Last.IsZero() {
			announced++
		}
	}
	members := 0
	for _, ks := range d.Known {
		members += len(ks)
	}
	put(descDHT, gauge, float64(len(d.Table)), "table")
	put(descDHT, gauge, float64(len(d.Held)), "held")
	put(descDHT, gauge, float64(announced), "announced")
	put(descDHT, gauge, float64(members), "members")
	for what, n := range map[string]uint64{
		"searches": d.Finds, "found": d.Found, "empty": d.Empty, "retried": d.Retried, "checked": d.Checks, "refuted": d.Refuted, "limited": d.Limited,
	} {
		put(descFind, counter, float64(n), what)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
