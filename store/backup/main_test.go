package backup_test

import (
	"os"
	"testing"

	"github.com/pando-ca/pando/store/storetest/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
