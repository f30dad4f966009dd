package prom_test

import (
	"context"
	"fmt"
	"log"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/clienttest"
	"github.com/pando-ca/pando/client/prom"
)

func ExampleMetrics() {
	// A double of Pando; in earnest the configuration has Servers, TrustBundleFile and a credential.
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	config := ca.Config("spiffe://example.org/web")

	metrics := prom.New()
	registry := prometheus.NewRegistry() // the one that the program serves
	registry.MustRegister(metrics)

	config.Metrics = metrics
	source, err := client.Open(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	metrics.Watch(source)

	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, family := range families {
		fmt.Println(family.GetName())
	}
	// Output:
	// pando_client_bundle_sequence
	// pando_client_bundle_updated_timestamp_seconds
	// pando_client_certificate_not_after_timestamp_seconds
	// pando_client_certificate_not_before_timestamp_seconds
	// pando_client_renewal_consecutive_failures
	// pando_client_renewal_due_timestamp_seconds
	// pando_client_renewals_total
}
