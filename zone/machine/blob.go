package machine

import "github.com/kitwork/kwnode/capsule"

func blobKey(c capsule.CID) []byte { return row(tabBlob, []byte{byte(c.Codec)}, c.Digest[:]) }

func (a *apply) blob(c capsule.CID) (BlobRow, bool) { return load[BlobRow](a.state, blobKey(c)) }

func (a *apply) saveBlob(c capsule.CID, b BlobRow) { save(a.state, blobKey(c), b) }

// refBlob counts a use; the blob may not be collected.
func (a *apply) refBlob(c capsule.CID) {
	if c.IsZero() {
		return
	}
	b, known := a.blob(c)
	if !known {
		a.effect(Effect{Kind: EffectKeep, Blob: c})
	}
	b.Refs++
	a.saveBlob(c, b)
}

// unrefBlob ends a use. A blob without uses goes when its holders' promise is over.
func (a *apply) unrefBlob(c capsule.CID) {
	if c.IsZero() {
		return
	}
	b, ok := a.blob(c)
	if !ok || b.Refs == 0 {
		return
	}
	b.Refs--
	if b.Refs == 0 {
		a.scheduleBlob(c, &b)
		if b.Due == 0 {
			return
		}
	}
	a.saveBlob(c, b)
}

// scheduleBlob collects an unused blob now, or when its promise is over.
func (a *apply) scheduleBlob(c capsule.CID, b *BlobRow) {
	name := append([]byte{byte(c.Codec)}, c.Digest[:]...)
	if b.Due != 0 {
		a.delete(timerKey(b.Due, timerBlob, name))
		b.Due = 0
	}
	if a.time >= b.Keep {
		a.delete(blobKey(c))
		a.effect(Effect{Kind: EffectCollect, Blob: c})
		return
	}
	b.Due = b.Keep
	a.setTimer(b.Due, timerBlob, name)
}

func (a *apply) blobDue(c capsule.CID) {
	b, ok := a.blob(c)
	if !ok {
		return
	}
	b.Due = 0
	if b.Refs == 0 {
		a.scheduleBlob(c, &b)
		if b.Due == 0 {
			return
		}
	}
	a.saveBlob(c, b)
}

// promiseBlob records that enough voters hold a blob and keep it.
func (a *apply) promiseBlob(t *Attest) *Refusal {
	if t.Until <= a.time {
		return refuse(CodeBlob, "the promise for %s ended at %d ms, it is %d ms", t.Blob, t.Until, a.time)
	}
	if t.Until-a.time > a.policy().Times.MaxExpiry {
		return refuse(CodeLimit, "a promise for %d ms, at most %d", t.Until-a.time, a.policy().Times.MaxExpiry)
	}
	b, known := a.blob(t.Blob)
	if !known {
		a.effect(Effect{Kind: EffectKeep, Blob: t.Blob})
	}
	b.Keep, b.Size = max(b.Keep, t.Until), t.Size
	if !t.Other.IsZero() {
		b.Fits = t.Other
	}
	if b.Refs == 0 {
		a.scheduleBlob(t.Blob, &b)
	}
	a.saveBlob(t.Blob, b)
	return nil
}

// fitBlob records that voters have checked a continuation against its code.
func (a *apply) fitBlob(t *Attest) *Refusal {
	b, ok := a.blob(t.Blob)
	if !ok {
		return refuse(CodeBlob, "nothing here names the blob %s, and nobody has promised to keep it", t.Blob)
	}
	b.Fits = t.Other
	a.saveBlob(t.Blob, b)
	return nil
}

// checkSaved verifies that a continuation can be found later: inline, or as a blob that is promised for
// long enough.
func (a *apply) checkSaved(s *Saved, limit uint64) *Refusal {
	if s.State.IsZero() {
		return refuse(CodeEncoding, "the capsule goes on, but no continuation is named")
	}
	if s.Size > limit {
		return refuse(CodeLimit, "a continuation of %d bytes, the capsule declared at most %d", s.Size, limit)
	}
	if len(s.Inline) == 0 {
		b, ok := a.blob(s.State)
		if !ok || b.Keep < sum(a.time, a.policy().Times.BlobMargin) {
			return refuse(CodeBlob, "no fresh attestation that %s is held; upload it to the voters first", s.State)
		}
	}
	if !s.Journal.IsZero() && len(s.Entries) == 0 {
		b, ok := a.blob(s.Journal)
		if !ok || b.Keep < sum(a.time, a.policy().Times.BlobMargin) {
			return refuse(CodeBlob, "no fresh attestation that the journal %s is held", s.Journal)
		}
	}
	return nil
}

// keepSaved keeps the bytes of a continuation: inline ones in table tab, others as blob. The caller has ended the use of
// what the table held.
func (a *apply) keepSaved(s *Saved, tab byte, id capsule.ID) SavedRow {
	if len(s.Inline) > 0 {
		a.setRaw(row(tab, id[:]), s.Inline)
	} else {
		a.delete(row(tab, id[:]))
		a.refBlob(s.State)
	}
	if len(s.Entries) > 0 {
		a.setRaw(row(tabJournal, id[:]), s.Entries)
	} else {
		if tab == tabCheck {
			a.delete(row(tabJournal, id[:]))
		}
		a.refBlob(s.Journal)
	}
	return SavedRow{
		State: s.State, StateHash: s.StateHash, Size: s.Size, Inline: len(s.Inline) > 0,
		Journal: s.Journal, Entries: len(s.Entries) > 0,
	}
}

// unrefSaved ends the use of a continuation's blobs.
func (a *apply) unrefSaved(s *SavedRow) {
	if !s.Inline {
		a.unrefBlob(s.State)
	}
	if !s.Entries {
		a.unrefBlob(s.Journal)
	}
}
