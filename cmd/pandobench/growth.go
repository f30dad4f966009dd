package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/jackc/pgx/v5"
)

//go:embed growth.sql
var growthSQL string

const (
	growthRounds = 5       // measurements on either side; the median counts
	growthChunk  = 250_000 // records per statement
	growthFloor  = 0.9     // of the throughput of an empty table
)

// runGrowth measures the same load on an empty table and on one that holds many records.
func (b *bench) runGrowth(ctx context.Context) error {
	d, err := deploy(ctx, b.binary, "postgres", "")
	if err != nil {
		return err
	}
	err = b.measureGrowth(ctx, d)
	return errors.Join(err, d.close())
}

func (b *bench) measureGrowth(ctx context.Context, d *deployment) error {
	empty, err := b.growthRatio(ctx, d, "empty")
	if err != nil {
		return err
	}
	if err := fill(ctx, d.postgres.URL("postgres"), b.growth); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	full, err := b.growthRatio(ctx, d, fmt.Sprintf("with %d records", b.growth))
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "throughput with %d records: %.2f of that with none\n", b.growth, full/empty)
	if full < growthFloor*empty {
		return fmt.Errorf("throughput fell under %.1f", growthFloor)
	}
	return nil
}

// growthRatio is the median of the throughput in parts of the raw limit.
func (b *bench) growthRatio(ctx context.Context, d *deployment, name string) (float64, error) {
	for range growthRounds {
		if err := b.runCase(ctx, d, name, benchCase{"grpc", byRenewal, 64, 1}); err != nil {
			return 0, err
		}
	}
	var ratios []float64
	for _, n := range b.report.Results[len(b.report.Results)-growthRounds:] {
		ratios = append(ratios, n.Ratio)
	}
	slices.Sort(ratios)
	return ratios[growthRounds/2], nil
}

func fill(ctx context.Context, url string, records int) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for first := 1; first <= records; first += growthChunk {
		last := min(first+growthChunk-1, records)
		if _, err := conn.Exec(ctx, growthSQL, first, last); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "filled %d of %d\n", last, records)
	}
	// As after a night's vacuum: what is measured is the size and not the filling.
	for _, statement := range []string{"VACUUM ANALYZE certificates", "CHECKPOINT"} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
