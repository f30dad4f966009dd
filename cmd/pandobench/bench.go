package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

const (
	requestPool = 512             // distinct keys; making them is not what is measured
	rawDuration = 3 * time.Second // of each look at the raw limit
	warmUp      = time.Second     // before each measurement
)

// bench is one run.
type bench struct {
	options
	requests []request
	report   *report
}

// benchCase is one closed loop.
type benchCase struct {
	door       string
	auth       authentication
	concurrent int
	batch      int
}

func (c benchCase) name(store string) string {
	kind := "single"
	if c.batch > 1 {
		kind = fmt.Sprintf("batch%d", c.batch)
	}
	return fmt.Sprintf("%s/%s/%s/%s/c%03d", store, c.door, c.auth, kind, c.concurrent)
}

func cases() []benchCase {
	var all []benchCase
	for _, door := range []string{"grpc", "rest"} {
		for _, concurrent := range []int{1, 16, 64} {
			all = append(all, benchCase{door, byRenewal, concurrent, 1})
		}
		for _, concurrent := range []int{1, 16, 64} {
			all = append(all, benchCase{door, byRenewal, concurrent, 50})
		}
		for _, concurrent := range []int{1, 16, 64} {
			all = append(all, benchCase{door, byJWT, concurrent, 1})
		}
	}
	return all
}

func (b *bench) runAll(ctx context.Context) error {
	for _, store := range b.stores {
		var wanted []benchCase
		for _, c := range cases() {
			if strings.Contains(c.name(store), b.only) {
				wanted = append(wanted, c)
			}
		}
		if len(wanted) == 0 {
			continue
		}
		d, err := deploy(ctx, b.binary, store, b.profile)
		if err != nil {
			return err
		}
		for _, c := range wanted {
			if err = b.runCase(ctx, d, store, c); err != nil {
				break
			}
		}
		if closeErr := d.close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return err
		}
	}
	return b.report.writeTable(os.Stdout)
}

// runCase measures one closed loop between two looks at the raw limit, so that a machine that
// becomes slower or faster meanwhile spoils neither side.
func (b *bench) runCase(ctx context.Context, d *deployment, store string, c benchCase) error {
	before, cpuBefore, err := measureRaw(ctx, b.requests, rawDuration)
	if err != nil {
		return err
	}
	m, err := b.measure(ctx, d, c)
	if err != nil {
		return fmt.Errorf("%s: %w", c.name(store), err)
	}
	after, cpuAfter, err := measureRaw(ctx, b.requests, rawDuration)
	if err != nil {
		return err
	}
	raw, rawCPU := (before+after)/2, (cpuBefore+cpuAfter)/2
	m.Raw = raw
	m.Ratio = m.PerSecond / raw
	m.CPURatio = (m.ServerCPU + m.StoreCPU) / 1000 / rawCPU
	return b.report.add(c.name(store), m)
}

// connectionsOf is how many connections carry a case. HTTP/1.1 has one request at a time on each.
func (b *bench) connectionsOf(c benchCase) int {
	if b.connections <= 0 || c.door == "rest" {
		return c.concurrent
	}
	return min(b.connections, c.concurrent)
}

// measure runs one closed loop and accounts for the CPU of the server and of its database.
func (b *bench) measure(ctx context.Context, d *deployment, c benchCase) (measurement, error) {
	callers, err := newCallers(d, c, b.connectionsOf(c))
	if err != nil {
		return measurement{}, err
	}
	defer func() {
		for _, each := range callers {
			each.close()
		}
	}()
	l := load{callers: callers, requests: b.requests, batch: c.batch, roots: d.roots}
	if _, err := l.run(ctx, warmUp); err != nil {
		return measurement{}, err
	}
	serverBefore, storeBefore, err := d.cpu()
	if err != nil {
		return measurement{}, err
	}
	clientBefore := ownCPU()
	m, err := l.run(ctx, b.duration)
	if err != nil {
		return measurement{}, err
	}
	server, store, err := d.cpu()
	if err != nil {
		return measurement{}, err
	}
	m.ClientCPU = (ownCPU() - clientBefore).Seconds() * 1000 / float64(m.Issued)
	m.ServerCPU = (server - serverBefore).Seconds() * 1000 / float64(m.Issued)
	m.StoreCPU = (store - storeBefore).Seconds() * 1000 / float64(m.Issued)
	m.ServerRSS, err = peakRSS(d.server.Process.Pid)
	return m, err
}

// cpu is what the server and its database have used until now.
func (d *deployment) cpu() (server, store time.Duration, err error) {
	if server, err = processCPU(d.server.Process.Pid); err != nil || d.postgres == nil {
		return server, 0, err
	}
	store, err = d.postgres.CPU()
	return server, store, err
}
