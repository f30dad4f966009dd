package deploy_test

import (
	"os"
	"os/exec"
	"testing"
)

// TestTheImageIsBuiltOfAllThatIsCommitted looks for files of the repository that the build does
// not get. Git would call the tree modified, and the program in the image its version.
func TestTheImageIsBuiltOfAllThatIsCommitted(t *testing.T) {
	if _, err := os.Stat("../.git"); err != nil {
		t.Skip("not in a repository")
	}
	if _, err := os.Stat("../.dockerignore"); err != nil { // and a change of it is a reason to test again
		t.Fatal(err)
	}
	// git reads what stands in the file as docker does, or takes it for more.
	list := exec.Command("git", "-C", "..", "ls-files", "--cached", "--ignored", "--exclude-from=.dockerignore")
	left, err := list.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, left)
	}
	if len(left) > 0 {
		t.Errorf("the build does not get\n%s", left)
	}
}
