package machine

import (
	"github.com/kitwork/kwnode/capsule"
)

func (a *apply) account(k capsule.Key) Account {
	v, _ := load[Account](a.state, row(tabAccount, k[:]))
	return v
}

// saveAccount is the only way to change an account: it keeps the totals.
func (a *apply) saveAccount(k capsule.Key, v Account) {
	old := a.account(k)
	t := a.totals()
	// Unsigned wrap-around cancels out: the sums are below 2^62.
	t.Available += v.Available - old.Available
	t.Held += v.Held - old.Held
	save(a.state, keyTotals, t)
	if v == (Account{}) {
		a.delete(row(tabAccount, k[:]))
		return
	}
	save(a.state, row(tabAccount, k[:]), v)
}

func (a *apply) burn(n uint64) {
	t := a.totals()
	t.Burned += n
	save(a.state, keyTotals, t)
}

// hold moves credits of k aside.
func (a *apply) hold(k capsule.Key, n uint64) *Refusal {
	acc := a.account(k)
	if acc.Available < n {
		return refuse(CodeFunds, "%d credits are needed, account %s has %d", n, k, acc.Available)
	}
	if limit := a.policy().Bounds.Held; n > limit || a.totals().Held > limit-n {
		return refuse(CodeHeldCap, "the zone holds %d credits, at most %d; try again when capsules have ended", a.totals().Held, limit)
	}
	acc.Available -= n
	acc.Held += n
	a.saveAccount(k, acc)
	return nil
}

// pay charges an account without a capsule.
func (a *apply) pay(k capsule.Key, n uint64) *Refusal {
	acc := a.account(k)
	if acc.Available < n {
		return refuse(CodeFunds, "%d credits are due, account %s has %d", n, k, acc.Available)
	}
	acc.Available -= n
	a.saveAccount(k, acc)
	a.burn(n)
	return nil
}

// settlement is how a hold was divided.
type settlement struct{ charged, fee, refunded uint64 }

// settleHold ends a hold: charge is burned, the rest returns less the fee on what exceeds the free band.
func (a *apply) settleHold(h Hold, charge uint64, p Price) settlement {
	charge = min(charge, h.Amount)
	rest := h.Amount - charge
	free := mulDivDown(h.Amount, uint64(p.FreeRefund), 1000)
	var fee uint64
	if rest > free {
		fee = mulDivUp(rest-free, uint64(p.RefundFee), 1000)
	}
	acc := a.account(h.Account)
	acc.Held -= h.Amount
	acc.Available += rest - fee
	a.saveAccount(h.Account, acc)
	a.burn(charge + fee)
	return settlement{charged: charge, fee: fee, refunded: rest - fee}
}

// settle ends a capsule's budget: gas, certificates and rent are charged, the payer's hold first.
func (a *apply) settle(g *GasState, payer capsule.Key) settlement {
	due := sum(GasCost(g.Spent+g.Retry, g.Price.Gas), mulDivUp(uint64(g.Certificates), g.Price.Certificate, 1), g.Rent)
	total := a.settleHold(Hold{Account: payer, Amount: g.Hold}, due, g.Price)
	for _, h := range g.TopUps {
		s := a.settleHold(h, due-total.charged, g.Price)
		total.charged += s.charged
		total.fee += s.fee
		total.refunded += s.refunded
	}
	g.Hold, g.Reserve, g.TopUps = 0, 0, nil
	a.count(func(c *Counts) {
		c.UnitsSpent = sum(c.UnitsSpent, g.Spent)
		c.UnitsRetried = sum(c.UnitsRetried, g.Retry)
	})
	return total
}
