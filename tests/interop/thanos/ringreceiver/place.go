package main

import (
	"fmt"

	"github.com/cespare/xxhash/v2"
	"github.com/thanos-io/thanos/pkg/store/labelpb"
	"github.com/thanos-io/thanos/pkg/store/storepb/prompb"
)

// batch is how many series share one line of output.
const batch = 1000

// random is splitmix64: the same numbers on the other side.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

// series draws a tenant and a label set: up to 12 labels, some of them too long for any buffer.
func (r *random) series() (string, []labelpb.ZLabel) {
	tenant := fmt.Sprintf("tenant-%d", r.next()%50)
	lset := make([]labelpb.ZLabel, r.next()%12)
	for i := range lset {
		value := fmt.Sprintf("%x", r.next())
		if r.next()%64 == 0 {
			for len(value) < 600 {
				value += value
			}
		}
		lset[i] = labelpb.ZLabel{Name: fmt.Sprintf("label_%d_é", i), Value: value}
	}
	return tenant, lset
}

// place prints, for each thousand of generated series, the hash of the addresses of all their replicas, one a line.
func place(a arguments) error {
	ring, err := hashring(a)
	if err != nil {
		return err
	}
	r := random(a.seed)
	for done := 0; done < a.count; done += batch {
		digest := xxhash.New()
		for i := 0; i < batch; i++ {
			tenant, lset := r.series()
			for n := uint64(0); n < a.replicationFactor; n++ {
				endpoint, err := ring.GetN(tenant, &prompb.TimeSeries{Labels: lset}, n)
				if err != nil {
					return err
				}
				_, _ = digest.WriteString(endpoint.Address + "\n")
			}
		}
		fmt.Printf("%016x\n", digest.Sum64())
	}
	return nil
}
