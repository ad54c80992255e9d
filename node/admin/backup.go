package admin

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/zone"
	"github.com/kitwork/kwnode/zone/api"
)

// ProtoBackup is the protocol ID of backups: a Request, answered by an api.Response with a Done and then the backup, to
// the end of the stream. Who may see all of a zone may have one.
const ProtoBackup = "/kitwork/backup/1"

// backupTime bounds one backup.
const backupTime = time.Hour

var backupLimits = p2p.StreamLimits{Rate: 1, Burst: 4, PerPeer: 1, Streams: 2, Memory: 1 << 20, Timeout: backupTime}

func (s *server) serveBackup(ctx context.Context, peer capsule.Key, st *p2p.Stream) {
	req := new(Request)
	if err := api.Read(st, req, MaxRequest); err != nil {
		return
	}
	z, err := s.backupOf(peer, req)
	if err != nil {
		_ = api.Refuse(st, refusal(err))
		return
	}
	out := &accepting{w: st}
	if err := z.Backup(ctx, out); err != nil {
		s.cfg.Logger.Warn("backup not finished", "zone", req.Zone, "for", peer, "err", err)
		if !out.begun {
			_ = api.Refuse(st, refusal(err))
		}
	}
}

func (s *server) backupOf(peer capsule.Key, req *Request) (*zone.Zone, error) {
	if req.V != Version || req.Op != OpBackup {
		return nil, &api.Refusal{Code: api.CodeProtocol, Detail: fmt.Sprintf("operation %.40q of version %d on a stream for backups", req.Op, req.V)}
	}
	z := s.cfg.Node.Voter(req.Zone)
	if z == nil {
		return nil, &api.Refusal{Code: api.CodeNotVoter, Detail: "this node is no voter of zone " + req.Zone.String()}
	}
	v, err := z.Query()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	all, err := s.all(v, peer)
	if err == nil && !all {
		err = denied("only a root of the zone or an operator of this node may have a backup; %s is neither", peer)
	}
	return z, err
}

// accepting says yes before the first byte: until then there may be a reason to refuse.
type accepting struct {
	w     io.Writer
	begun bool
}

func (a *accepting) Write(p []byte) (int, error) {
	if !a.begun {
		if err := api.Accept(a.w, &Done{}); err != nil {
			return 0, err
		}
		a.begun = true
	}
	return a.w.Write(p)
}

// Backup has the dialled node write a backup of a zone. What arrives is not verified: see zone.CheckBackup.
func (c *Client) Backup(ctx context.Context, z *Zone, w io.Writer) error {
	s, err := c.h.Dial(ctx, c.node, ProtoBackup)
	if err != nil {
		return err
	}
	defer s.Close()
	if d, ok := ctx.Deadline(); ok {
		_ = s.SetDeadline(d)
	}
	req := &Request{V: Version, Op: OpBackup, Zone: z.ID, Key: []byte{}, After: []byte{}, Act: []byte{}, Chain: capsule.Chain{}}
	if _, err := api.Ask[Done](s, req, MaxReply); err != nil {
		return err
	}
	_, err = io.Copy(w, s)
	return err
}
