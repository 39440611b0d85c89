package boltstore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
)

const crashWriters = 500

// TestKillLosesNothingAcknowledged kills a process in the midst of 500 concurrent
// writers with SIGKILL, again and again on the same folder. What it had said was
// done is done, the two keys of each commit stand or fall together, what was taken
// stays taken, and the next start needs no repair.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	rounds := 6
	if os.Getenv("GATEHOUSE_TEST_ALL") == "1" {
		rounds = 40
	}
	dir := t.TempDir()
	said := make(map[string]string) // what was acknowledged in all rounds: key or block to word
	for round := range rounds {
		before := len(said)
		runAndKill(t, dir, round, said)
		t.Logf("round %d: %d acknowledged", round, len(said)-before)
		checkAcknowledged(t, dir, said)
		checkPages(t, dir)
		if t.Failed() {
			return
		}
	}
}

// runAndKill lets a child write for a random time, kills it, and notes what it
// said. Each line reached the pipe in one write before the kill or not at all.
func runAndKill(t *testing.T, dir string, round int, said map[string]string) {
	t.Helper()
	cmd, lines := child(t, "writer", dir)
	cmd.Env = append(cmd.Env, "ROUND="+strconv.Itoa(round))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	target := 500 + rand.IntN(8000)
	killed := false
	for n := 0; lines.Scan(); n++ {
		word, name, found := strings.Cut(lines.Text(), " ")
		if !found {
			t.Fatalf("the child said %q", lines.Text())
		}
		said[name] = word
		if n >= target && !killed {
			killed = true
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	err := cmd.Wait()
	if !killed {
		t.Fatalf("the child ended by itself: %v", err)
	}
}

func checkAcknowledged(t *testing.T, dir string, said map[string]string) {
	t.Helper()
	s, err := boltstore.Open(dir, boltstore.Options{})
	if err != nil {
		t.Fatalf("it does not open after the kill: %v", err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	blocks := make(map[string]bool)
	err = s.Range(t.Context(), "audit", time.Time{}, time.Time{}, false, func(b store.Block) bool {
		blocks[string(b.Data)] = true
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := s.Info(t.Context(), "audit"); err != nil || info.Damaged != 0 {
		t.Errorf("the log says %+v, %v: want nothing damaged", info, err)
	}
	for name, word := range said {
		if err := checkOne(t.Context(), s, blocks, word, name); err != nil {
			t.Errorf("acknowledged %s %s: %v", word, name, err)
		}
	}
	checkPairs(t, s)
}

func checkOne(ctx context.Context, s store.KV, blocks map[string]bool, word, name string) error {
	switch word {
	case "logged":
		if !blocks[name] {
			return fmt.Errorf("the block is gone")
		}
	case "wrote":
		item, err := s.Get(ctx, "a:"+name)
		if err != nil {
			return err
		}
		if string(item.Value) != valueOf(name) {
			return fmt.Errorf("it is %.40q", item.Value)
		}
	case "took":
		_, err := s.Get(ctx, "a:"+name)
		if err == nil {
			return fmt.Errorf("it is back")
		}
		if !fault.Is(err, fault.NotFound) {
			return fmt.Errorf("it should be NotFound: %w", err)
		}
	default:
		return fmt.Errorf("what is that?")
	}
	return nil
}

// checkPairs looks for commits of which only half was made.
func checkPairs(t *testing.T, s store.KV) {
	t.Helper()
	for after := ""; ; {
		items, err := s.List(t.Context(), "b:", after, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			_, err := s.Get(t.Context(), "a:"+item.Key[2:])
			if taken := fault.Is(err, fault.NotFound) && wasTaken(item.Key); err != nil && !taken {
				t.Errorf("%s is there without its other half: %v", item.Key, err)
			}
		}
		if len(items) < store.MaxPage {
			return
		}
		after = items[len(items)-1].Key
	}
}

// checkPages has bbolt look at every page: a file that opens could still have
// pages in two places or in none.
func checkPages(t *testing.T, dir string) {
	t.Helper()
	db, err := bolt.Open(dir+"/gatehouse.db", 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("bbolt's check: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func valueOf(name string) string { return strings.Repeat(name+" ", 20) }

// wasTaken tells the names that the child takes again from those that it leaves.
func wasTaken(name string) bool { return strings.HasSuffix(name, "0") }

// childWriter writes with many goroutines and says of each thing that it is done,
// once it is.
func childWriter(dir string) error {
	s, err := boltstore.Open(dir, boltstore.Options{})
	if err != nil {
		return err
	}
	round := os.Getenv("ROUND")
	var group sync.WaitGroup
	for w := range crashWriters {
		group.Go(func() {
			for n := 0; ; n++ {
				if err := childStep(s, fmt.Sprintf("%s-%d-%d", round, w, n)); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
			}
		})
	}
	group.Wait()
	return nil
}

func childStep(s store.Store, name string) error {
	ctx := context.Background()
	_, err := s.Commit(ctx,
		store.Write{Key: "a:" + name, Value: []byte(valueOf(name)), If: 0},
		store.Write{Key: "b:" + name, Value: []byte("other half"), If: 0},
		store.Write{Key: "ttl:" + name, If: 0, TTL: time.Second})
	if err != nil {
		return err
	}
	if wasTaken(name) {
		if _, err := s.Take(ctx, "a:"+name); err != nil {
			return err
		}
		say("took", name)
	} else {
		say("wrote", name)
	}
	now := time.Now()
	block := store.Block{Log: "audit", First: now, Last: now, Data: []byte("block of " + name)}
	if _, err := s.Append(ctx, block, true); err != nil {
		return err
	}
	say("logged", "block of "+name)
	return nil
}

// say tells the parent in one write, which a pipe does not split.
func say(word, name string) { os.Stdout.WriteString(word + " " + name + "\n") }
