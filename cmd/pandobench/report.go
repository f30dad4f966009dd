package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"text/tabwriter"
)

// report is the figures of a run.
type report struct {
	Go      string  `json:"go"`
	Cores   int     `json:"cores"`
	Results []named `json:"results"`
}

type named struct {
	Name string `json:"name"`
	measurement
}

func newReport() *report { return &report{Go: runtime.Version(), Cores: runtime.GOMAXPROCS(0)} }

// add keeps a measurement, and shows it at once: a run takes minutes.
func (r *report) add(name string, m measurement) error {
	r.Results = append(r.Results, named{name, m})
	_, err := fmt.Fprintf(os.Stderr, "%-34s %6.0f/s  %.2f of raw %.0f/s  p50 %.2f ms  p99 %.2f ms\n",
		name, m.PerSecond, m.Ratio, m.Raw, m.P50Millis, m.P99Millis)
	return err
}

// writeTable writes all figures for people.
func (r *report) writeTable(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "case\tissued/s\tof raw\tp50 ms\tp99 ms\tclient CPU s/1000\tserver CPU s/1000\tstore CPU s/1000\tCPU × raw\tpeak RSS MiB\t")
	for _, n := range r.Results {
		fmt.Fprintf(w, "%s\t%.0f\t%.2f\t%.2f\t%.2f\t%.3f\t%.3f\t%.3f\t%.2f\t%d\t\n", n.Name, n.PerSecond, n.Ratio,
			n.P50Millis, n.P99Millis, n.ClientCPU, n.ServerCPU, n.StoreCPU, n.CPURatio, n.ServerRSS>>20)
	}
	return w.Flush()
}
