package store

import "time"

// Incident is a declared mass re-issue. It is declared and closed by [Generations].ReplaceGeneration,
// and does not change in between.
type Incident struct {
	ID           string
	CreatedAt    time.Time
	Actor        string
	Reason       string
	Issuers      []string  // authority IDs: whose certificates are to be replaced
	IssuedBefore time.Time // by them, before this moment
	StartsAt     time.Time
	Deadline     time.Time
	Rate         float64   // certificates per second
	Total        int       // certificates that it was declared for
	ClosedAt     time.Time // zero: it is open
}

// DependentsFilter selects certificates that depend on their issuers.
type DependentsFilter struct {
	Issuers      []string
	IssuedBefore time.Time // zero: whenever
	Now          time.Time // required
	RenewedSince time.Time // for Dependents.Renewed; zero: since ever
}

// Dependents counts the certificates of one issuer that are neither expired nor revoked.
type Dependents struct {
	Certificates int       // that nobody has renewed: their holders are cut off when the issuer is revoked
	NotAfter     time.Time // the latest of these; zero: there is none
	PerSecond    float64   // sum of the inverse lifetimes of these, in seconds
	Renewed      int       // that were renewed since DependentsFilter.RenewedSince
}

// Unbounded is f with a bound on the time of issue that excludes nothing, if it has none. The
// stores call it.
func (f DependentsFilter) Unbounded() DependentsFilter {
	if f.IssuedBefore.IsZero() {
		f.IssuedBefore = time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC)
	}
	if f.RenewedSince.IsZero() {
		f.RenewedSince = time.Unix(0, 0)
	}
	return f
}
