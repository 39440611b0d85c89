package boltstore_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"gatehouse/internal/store/boltstore"
)

// Some tests need a process of their own, to kill it or to put it on a small
// disk: the test binary runs itself again with childEnv set to what to do.
const childEnv = "BOLTSTORE_TEST_CHILD"

func TestMain(m *testing.M) {
	children := map[string]func(dir string) error{
		"writer":   childWriter,
		"fulldisk": childFullDisk,
		"holder":   childHolder,
	}
	role := os.Getenv(childEnv)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := children[role](os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child is this test binary in another role, with its standard output.
func child(t *testing.T, role, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, dir) // not with the test's context: some children are to be killed by the test alone
	cmd.Env = append(os.Environ(), childEnv+"="+role)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// childHolder holds the folder until its standard input ends.
func childHolder(dir string) error {
	s, err := boltstore.Open(dir, boltstore.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	fmt.Println("open")
	bufio.NewScanner(os.Stdin).Scan()
	return nil
}
