package main

import (
	"crypto"
	"crypto/tls"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

const webID = "spiffe://example.org/web"

// newVersion makes a key and a certificate for it.
func newVersion(t *testing.T, pki *catest.CA) (crypto.Signer, *issuedJSON, *trustRoots) {
	t.Helper()
	key, csr := catest.CSR(t, ca.ECDSAP256)
	issued := issue(t, pki, webID, csr)
	trust, err := parseBundle(rootsPEM(pki))
	if err != nil {
		t.Fatal(err)
	}
	return key, issued, trust
}

func TestCredentialsAreStoredAndLoaded(t *testing.T) {
	pki := catest.New(t, catest.Options{})
	path := filepath.Join(t.TempDir(), "new", "folder")
	dir, err := openCredentialDir(path)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := dir.load(); c != nil || err != nil {
		t.Fatalf("an empty folder holds %v, %v", c, err)
	}
	for range 2 {
		key, issued, trust := newVersion(t, pki)
		if _, err := dir.store(issued, key, trust); err != nil {
			t.Fatal(err)
		}
		c, err := dir.load()
		if err != nil {
			t.Fatal(err)
		}
		if c.info.Serial != issued.Serial || !c.info.NotAfter.Equal(c.pair.Leaf.NotAfter) || len(c.trust.roots) != 1 {
			t.Errorf("loaded %+v", c.info)
		}
		if _, err := tls.LoadX509KeyPair(filepath.Join(path, "cert.pem"), filepath.Join(path, "key.pem")); err != nil {
			t.Errorf("by the plain names: %v", err)
		}
	}
	for name, want := range map[string]os.FileMode{keyName: 0o600, chainName: 0o644, bundleName: 0o644, infoName: 0o644} {
		info, err := os.Stat(filepath.Join(path, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{".versions", bundleName, chainName, currentName, infoName, keyName}; !slices.Equal(names, want) {
		t.Errorf("the folder holds %v, want %v", names, want)
	}
}

// A reader that resolves the current version once must never find parts of two.
func TestReadersNeverSeeAMixture(t *testing.T) {
	pki := catest.New(t, catest.Options{})
	dir, err := openCredentialDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	type version struct {
		key    crypto.Signer
		issued *issuedJSON
		trust  *trustRoots
	}
	versions := make([]version, 20)
	for i := range versions {
		versions[i].key, versions[i].issued, versions[i].trust = newVersion(t, pki)
	}
	if _, err := dir.store(versions[0].issued, versions[0].key, versions[0].trust); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	seen := make([]int, 2)
	for i := range seen {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := dir.load() // fails when key and certificate do not match
				if err != nil || c == nil {
					t.Errorf("load: %v, %v", c, err)
					return
				}
				if leaf, _ := ca.SerialOf(c.pair.Leaf); leaf.String() != c.info.Serial {
					t.Errorf("certificate %s with the information of %s", leaf, c.info.Serial)
				}
				seen[i]++
			}
		})
	}
	for _, v := range versions {
		if _, err := dir.store(v.issued, v.key, v.trust); err != nil {
			t.Fatal(err)
		}
		if err := dir.prune(time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	readers.Wait()
	if slices.Min(seen) == 0 {
		t.Error("a reader never read")
	}
}

// Whatever an interrupted run leaves, the version in force stays readable and the next run works.
func TestCredentialsSurviveACrash(t *testing.T) {
	pki := catest.New(t, catest.Options{})
	for name, crash := range map[string]func(t *testing.T, dir *credentialDir){
		"in the middle of a version": func(t *testing.T, dir *credentialDir) {
			if err := os.Mkdir(dir.in(".versions", "half"), 0o700); err != nil {
				t.Fatal(err)
			}
			writeFile(t, dir.in(".versions", "half"), keyName, []byte("half a k"))
		},
		"while a link is made": func(t *testing.T, dir *credentialDir) {
			if err := os.Symlink("nowhere", dir.in(".link-1")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := openCredentialDir(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			for i := range 2 {
				key, issued, trust := newVersion(t, pki)
				if _, err := dir.store(issued, key, trust); err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					crash(t, dir)
				}
				c, err := dir.load()
				if err != nil || c.info.Serial != issued.Serial {
					t.Fatalf("load: %v, %v", c, err)
				}
			}
		})
	}
}

func TestPruneKeepsWhatSomebodyMayRead(t *testing.T) {
	pki := catest.New(t, catest.Options{})
	dir, err := openCredentialDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var serials []string
	for range 3 {
		key, issued, trust := newVersion(t, pki)
		if _, err := dir.store(issued, key, trust); err != nil {
			t.Fatal(err)
		}
		serials = append(serials, issued.Serial)
	}
	count := func() int {
		t.Helper()
		entries, err := os.ReadDir(dir.in(".versions"))
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	if err := dir.prune(time.Now().Add(versionKept - time.Minute)); err != nil || count() != 3 {
		t.Errorf("within the hour %d versions are left, %v", count(), err)
	}
	if err := dir.prune(time.Now().Add(versionKept + time.Minute)); err != nil || count() != 1 {
		t.Errorf("after the hour %d versions are left, %v", count(), err)
	}
	if c, err := dir.load(); err != nil || c.info.Serial != serials[2] {
		t.Errorf("load: %v, %v", c, err)
	}
}

func TestFilesOfOthersAreNotReplaced(t *testing.T) {
	for _, name := range []string{keyName, chainName, bundleName, currentName} {
		path := t.TempDir()
		writeFile(t, path, name, []byte("mine"))
		if _, err := openCredentialDir(path); err == nil || !strings.Contains(err.Error(), "was not made by pando get") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
