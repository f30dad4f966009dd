package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/internal/pgserver"
)

// Environment is the variable that names a server to use instead of a throw-away one. Its
// user must be allowed to create databases.
const Environment = "PANDO_TEST_DATABASE_URL"

// shared is the one server of this test process: a process cannot tell its tests apart, so
// it is a variable of the package.
var shared struct {
	mu     sync.Mutex
	server *pgserver.Server
	users  int
}

// New makes an empty database and returns its connection string. It is dropped when the test
// ends.
func New(t testing.TB) string {
	t.Helper()
	server := os.Getenv(Environment)
	if server == "" {
		server = use(t)
	}
	name := "test_" + strings.ToLower(rand.Text())
	execute(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { execute(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })

	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s: %v", Environment, err)
	}
	u.Path = "/" + name
	return u.String()
}

// Start starts a server for one test, which may kill it and start it again. It is stopped
// when the test ends.
func Start(t testing.TB, cfg pgserver.Config) *pgserver.Server {
	t.Helper()
	server, err := pgserver.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Errorf("stop server: %v", err)
		}
	})
	return server
}

// Main runs the tests of a package with the shared server kept up, and returns the exit code.
func Main(m interface{ Run() int }) int {
	retain()
	code := m.Run()
	if err := release(); err != nil {
		fmt.Fprintln(os.Stderr, "stop server:", err)
		return 1
	}
	return code
}

// use returns the connection string of the shared server, which stays up until t ends.
func use(t testing.TB) string {
	t.Helper()
	retain()
	t.Cleanup(func() {
		if err := release(); err != nil {
			t.Errorf("stop server: %v", err)
		}
	})
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil {
		server, err := pgserver.Start(t.Context(), pgserver.Config{})
		if err != nil {
			t.Fatal(err)
		}
		shared.server = server
	}
	return shared.server.URL("postgres")
}

func retain() {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.users++
}

// release stops the server when nobody is left who uses it.
func release() error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.users--
	if shared.users > 0 || shared.server == nil {
		return nil
	}
	server := shared.server
	shared.server = nil
	return server.Stop()
}

// execute runs one statement on the server.
func execute(t testing.TB, server, sql string) {
	t.Helper()
	ctx := context.Background() // that of t has ended when its cleanup runs
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatalf("connect to the test server: %v", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
