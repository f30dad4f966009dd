package main

import (
	"time"

	"github.com/pando-ca/pando/store/backup"
)

// config is everything that can be configured, in one YAML file and in the environment. The
// keys, their defaults and the names of the environment variables are documented for
// operators in docs/configuration.md; a test compares that page with this struct.
type config struct {
	// TrustDomain is the name of the trust domain, such as example.org. It must be that of
	// the CA in the database.
	TrustDomain string `yaml:"trust_domain"`
	// Data is the directory of the seal key and of the SQLite database. Empty means the
	// directory of the configuration file.
	Data string `yaml:"data"`
	// Database is the URL of a Postgres database. Empty means SQLite in Data.
	Database string `yaml:"database"`
	// SealKeyFile holds the key under which the CA's keys are sealed. Empty means seal.key
	// in Data. The environment variable PANDO_SEAL_KEY, which holds the key itself, comes first.
	SealKeyFile string `yaml:"seal_key_file"`
	// Migrate makes serve apply the migrations that the database lacks before it starts.
	Migrate bool `yaml:"migrate"`
	// RefreshHint is how often holders of the trust bundle are told to look for a new one.
	RefreshHint duration `yaml:"refresh_hint"`

	Keys      keysConfig      `yaml:"keys"`
	Listen    listenConfig    `yaml:"listen"`
	Serving   servingConfig   `yaml:"serving"`
	URLs      urlsConfig      `yaml:"urls"`
	Lifetimes lifetimesConfig `yaml:"lifetimes"`
	Rotation  rotationConfig  `yaml:"rotation"`
	CRL       crlConfig       `yaml:"crl"`

	PreRenewal preRenewalConfig `yaml:"pre_renewal"`
	Figures    figuresConfig    `yaml:"figures"`
	Backup     backupConfig     `yaml:"backup"`

	Limits   limitsConfig   `yaml:"limits"`
	Timeouts timeoutsConfig `yaml:"timeouts"`
	Records  recordsConfig  `yaml:"records"`
	Log      logConfig      `yaml:"log"`
	Debug    debugConfig    `yaml:"debug"`

	// Administrators are those who administer with a client certificate of this CA.
	Administrators []administratorConfig `yaml:"administrators"`
	// Profiles are added to the built-in ones, workload, server and administrator; one of the
	// same name changes the built-in one.
	Profiles []profileConfig `yaml:"profiles"`
	// Issuers are those whose JWTs are accepted.
	Issuers []issuerConfig `yaml:"issuers"`
}

// keysConfig is where the keys of new authorities are made. Those that are there are found where
// they are.
type keysConfig struct {
	Backend string `yaml:"backend"` // sealed: in the database, under the seal key; pkcs11: in the token
	// URI names a PKCS #11 module and a token, and holds no PIN. It is needed as long as a key
	// is in the token, whatever the backend.
	URI string `yaml:"uri"`
	// PINFile holds the PIN. The environment variable PANDO_PKCS11_PIN, which holds the PIN itself,
	// comes first.
	PINFile string `yaml:"pin_file"`
}

// listenConfig is the addresses of the doors, as host:port. An empty host means all
// addresses; an empty string closes the door.
type listenConfig struct {
	REST    string `yaml:"rest"`    // REST over TLS
	GRPC    string `yaml:"grpc"`    // gRPC over TLS
	Public  string `yaml:"public"`  // trust bundle, issuer certificates and CRLs over plain HTTP
	Metrics string `yaml:"metrics"` // metrics and health over plain HTTP
}

// servingConfig is the certificate that the REST and gRPC doors show. Pando issues it to itself.
type servingConfig struct {
	DNSNames []string `yaml:"dns_names"` // under which clients that verify names reach the doors
	Profile  string   `yaml:"profile"`
	Duration duration `yaml:"duration"` // 0: the profile's
}

// urlsConfig is the URLs in certificates. {authority} stands for the ID of the authority that
// signed, and {shard} for the shard of its CRL; an empty template leaves the extension out.
type urlsConfig struct {
	Issuer string `yaml:"issuer"` // AIA caIssuers
	CRL    string `yaml:"crl"`    // CRL distribution point
}

// crlConfig is how certificate revocation lists are published. Every replica looks; one at a time
// publishes.
type crlConfig struct {
	Shards   int      `yaml:"shards"`   // of the CRL of a new intermediate
	Period   duration `yaml:"period"`   // after which a list is published again although nothing has changed
	Schedule string   `yaml:"schedule"` // how often it is looked whether a list is due
}

// lifetimesConfig is how long new authorities live.
type lifetimesConfig struct {
	Root         duration `yaml:"root"`
	Intermediate duration `yaml:"intermediate"`
}

// rotationConfig is when authorities are replaced. Every replica looks; one of them leads.
type rotationConfig struct {
	Schedule     string   `yaml:"schedule"`     // how often it is looked whether something is due
	Root         duration `yaml:"root"`         // how long a root is active; 0: a third of its lifetime
	Intermediate duration `yaml:"intermediate"` // how long an intermediate is active; 0: a third of its lifetime
	Skew         duration `yaml:"skew"`         // by how much clocks, also those of verifiers, may differ
	Lease        duration `yaml:"lease"`        // after how long without a sign of life another replica leads
}

// preRenewalConfig is how the certificates of entries with pre_renew are renewed. One replica does
// it for all.
type preRenewalConfig struct {
	Schedule string  `yaml:"schedule"` // how often it is looked which are due
	Rate     float64 `yaml:"rate"`     // certificates per second
}

// figuresConfig is how the fleet is counted for the metrics. One replica does it for all.
type figuresConfig struct {
	Schedule string `yaml:"schedule"` // how often
}

// backupConfig is when and where backups are made. One replica does it for all.
type backupConfig struct {
	Schedule   string   `yaml:"schedule"`   // how often; empty: never
	Directory  string   `yaml:"directory"`  // where to
	Recipients []string `yaml:"recipients"` // public keys of age that they are encrypted to
	Records    string   `yaml:"records"`    // all, live or none
	Keep       int      `yaml:"keep"`       // newest backups that are kept; 0: however many there are
	KeepFor    duration `yaml:"keep_for"`   // for how long one is kept; 0: for ever
}

// limitsConfig bounds what callers can use up.
type limitsConfig struct {
	IdentityRate   float64 `yaml:"identity_rate"`   // certificates per second for one caller; 0: no limit
	IdentityBurst  int     `yaml:"identity_burst"`  // certificates at once; 0: one second's worth
	AddressRate    float64 `yaml:"address_rate"`    // certificates per second for one address; 0: no limit
	AddressBurst   int     `yaml:"address_burst"`   // certificates at once from one address; 0: one second's worth
	FailureRate    float64 `yaml:"failure_rate"`    // failed authentications per second from one address; 0: no limit
	FailureBurst   int     `yaml:"failure_burst"`   // failed authentications at once from one address
	MaxConnections int     `yaml:"max_connections"` // open at once, on each door; 0: no limit
	MaxWaiting     int     `yaml:"max_waiting"`     // issuances that wait for a commit; those above are refused
	MaxDatabase    int     `yaml:"max_database"`    // connections to Postgres
}

// timeoutsConfig is how long things may take.
type timeoutsConfig struct {
	Startup  duration `yaml:"startup"`   // for the database to be reachable when serve starts
	LameDuck duration `yaml:"lame_duck"` // that serve, told to stop, goes on accepting while it is no longer ready
	Drain    duration `yaml:"drain"`     // for requests in flight to finish after that
}

// recordsConfig is what becomes of the records of issued certificates.
type recordsConfig struct {
	Retention duration `yaml:"retention"` // how long a record is kept after its certificate has expired
}

// logConfig is how serve logs, to standard error.
type logConfig struct {
	Format string `yaml:"format"` // json or text
	Level  string `yaml:"level"`  // debug, info, warn or error
}

// debugConfig is for those who measure Pando.
type debugConfig struct {
	CPUProfile string `yaml:"cpu_profile"` // file that serve writes a CPU profile to when it stops; empty: none
}

// administratorConfig gives a role to the holder of a client certificate.
type administratorConfig struct {
	SPIFFEID string `yaml:"spiffe_id"` // under spiffe://TRUST_DOMAIN/pando/
	Role     string `yaml:"role"`      // viewer, operator or admin
}

// profileConfig is what a kind of certificate looks like. What is left out is that of the
// built-in profile of the same name, or else of workload.
type profileConfig struct {
	Name             string    `yaml:"name"`
	Duration         *duration `yaml:"duration,omitempty"`     // when the request names none
	MaxDuration      *duration `yaml:"max_duration,omitempty"` // what a request may name
	RenewAt          *float64  `yaml:"renew_at,omitempty"`     // centre of the renewal window, as a fraction of the lifetime
	KeyAlgorithms    []string  `yaml:"key_algorithms,omitempty"`
	ExtKeyUsage      []string  `yaml:"ext_key_usage,omitempty"`
	Organization     []string  `yaml:"organization,omitempty"` // subject O
	DNSNames         *bool     `yaml:"dns_names,omitempty"`    // whether DNS names are allowed
	RequireDNSNames  *bool     `yaml:"require_dns_names,omitempty"`
	WildcardDNSNames *bool     `yaml:"wildcard_dns_names,omitempty"`
}

// issuerConfig is an issuer of JWTs. Exactly one of discovery (the default), JWKSURL and
// JWKSFile says where its keys are.
type issuerConfig struct {
	Name         string   `yaml:"name"`   // by which entries refer to it
	Issuer       string   `yaml:"issuer"` // the exact iss claim
	Audiences    []string `yaml:"audiences"`
	Algorithms   []string `yaml:"algorithms,omitempty"`
	DiscoveryURL string   `yaml:"discovery_url,omitempty"` // default: Issuer
	JWKSURL      string   `yaml:"jwks_url,omitempty"`
	JWKSFile     string   `yaml:"jwks_file,omitempty"`
	RootCAFile   string   `yaml:"root_ca_file,omitempty"` // PEM, for the two URLs; default: those of the system
	MaxLifetime  duration `yaml:"max_lifetime,omitempty"`
	Leeway       duration `yaml:"leeway,omitempty"`
	KeysMaxAge   duration `yaml:"keys_max_age,omitempty"`
	// AllowHTTPLoopback lets the two URLs be plain HTTP on 127.0.0.1 or [::1], for a proxy beside Pando.
	AllowHTTPLoopback bool `yaml:"allow_http_loopback,omitempty"`

	RoleClaim string `yaml:"role_claim,omitempty"` // JSON pointer to a claim that is viewer, operator or admin
	Reusable  bool   `yaml:"reusable,omitempty"`   // tokens may be shown more than once, as Kubernetes' are
}

// defaultConfig is the configuration when nothing is configured.
func defaultConfig() config {
	return config{
		RefreshHint: duration(5 * time.Minute),
		Keys:        keysConfig{Backend: keysSealed},
		Listen:      listenConfig{REST: ":8443", GRPC: ":8444", Public: ":8080", Metrics: ":9464"},
		Serving:     servingConfig{DNSNames: []string{"localhost"}, Profile: "workload"},
		Lifetimes:   lifetimesConfig{Root: duration(3 * 365 * day), Intermediate: duration(180 * day)},
		Rotation: rotationConfig{
			Schedule: "@every 10s", Skew: duration(5 * time.Minute), Lease: duration(time.Minute),
		},
		CRL:        crlConfig{Shards: 16, Period: duration(time.Hour), Schedule: "@every 5s"},
		PreRenewal: preRenewalConfig{Schedule: "@every 30s", Rate: 100},
		Figures:    figuresConfig{Schedule: "@every 1m"},
		Backup:     backupConfig{Recipients: []string{}, Records: string(backup.RecordsLive), Keep: 14},
		Limits: limitsConfig{
			IdentityRate: 100, IdentityBurst: 1000,
			AddressRate: 2000, AddressBurst: 10_000, // a load balancer, or a site, is one address
			FailureRate: 10, FailureBurst: 50,
			MaxConnections: 10_000, MaxWaiting: 10_000, MaxDatabase: 10,
		},
		Timeouts: timeoutsConfig{Startup: duration(time.Minute), Drain: duration(20 * time.Second)},
		Records:  recordsConfig{Retention: duration(30 * day)},
		Log:      logConfig{Format: "json", Level: "info"},
	}
}
