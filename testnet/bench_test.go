package testnet

import (
	"slices"
	"testing"
	"time"

	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/testnet/internal/programs"
)

// BenchmarkHop moves capsules to and fro between two zones of three voters, in this process and over loopback, the log on
// disk. ms/hop is from one segment's last instruction to the next one's first, as the mean over a journey; of these the
// median and the 99th percentile.
func BenchmarkHop(b *testing.B) {
	for _, size := range []struct {
		name  string
		bytes int
	}{{"small", 1}, {"1MB", 1 << 20}} {
		b.Run(size.name, func(b *testing.B) {
			ctx, nets, c := zones(b, "home", "eu")
			options := []sdk.Option{sdk.Gas(1 << 40), sdk.Home(nets[0].Zone), sdk.Stop("home", nets[0].Zone), sdk.Stop("eu", nets[1].Zone)}
			journey := func(hops int) time.Duration {
				load := programs.Load{Bytes: size.bytes, Early: true}
				for i := range hops {
					load.Stops = append(load.Stops, []string{"eu", "home"}[i%2])
				}
				start := time.Now()
				s, err := sdk.Start(ctx, c, programs.Carry, load, options...)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.Await(ctx); err != nil {
					b.Fatal(err)
				}
				return time.Since(start)
			}
			const hops = 10
			journey(hops) // both zones have the program
			var means []float64
			for b.Loop() {
				rest := journey(2)
				means = append(means, float64((journey(2+hops)-rest).Microseconds())/1000/hops)
			}
			slices.Sort(means)
			b.ReportMetric(means[len(means)/2], "p50-ms/hop")
			b.ReportMetric(means[len(means)*99/100], "p99-ms/hop")
		})
	}
}
