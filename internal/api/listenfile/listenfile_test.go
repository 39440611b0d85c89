package listenfile_test

import (
	"os"
	"testing"

	"gatehouse/internal/api/listenfile"
	"gatehouse/internal/fault"
)

func TestWhatServeWritesTheCommandLineReads(t *testing.T) {
	dir := t.TempDir()
	want := listenfile.Listen{PID: 7, HTTP: "http://localhost:8080", HTTPS: "https://localhost:8443", Direct: "http://127.0.0.1:9000", Socket: dir + "/api.sock"}
	for range 2 { // the second replaces the first
		if err := listenfile.Write(dir, want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := listenfile.Read(dir)
	if err != nil || got != want {
		t.Fatalf("read %+v, %v; wrote %+v", got, err, want)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Fatalf("%d files in the folder (%v), want listen.json alone", len(left), err)
	}
}

func TestOnlyItsWriterRemovesTheFile(t *testing.T) {
	dir := t.TempDir()
	if err := listenfile.Remove(dir, 1); err != nil {
		t.Fatalf("removing what is not there: %v", err)
	}
	if err := listenfile.Write(dir, listenfile.Listen{PID: 7}); err != nil {
		t.Fatal(err)
	}
	if err := listenfile.Remove(dir, 8); err != nil {
		t.Fatal(err)
	}
	if _, err := listenfile.Read(dir); err != nil {
		t.Fatalf("another process's file was removed: %v", err)
	}
	if err := listenfile.Remove(dir, 7); err != nil {
		t.Fatal(err)
	}
	if _, err := listenfile.Read(dir); !fault.Is(err, fault.NotFound) {
		t.Fatalf("after removal: %v, want NotFound", err)
	}
}

func TestDamagedFileIsSaid(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(listenfile.Path(dir), []byte(`{"pid":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenfile.Read(dir); !fault.Is(err, fault.Malformed) {
		t.Fatalf("%v, want Malformed", err)
	}
}

func TestTheLocalCAStaysWhenGatehouseEnds(t *testing.T) {
	dir := t.TempDir()
	if _, err := listenfile.ReadCA(dir); !fault.Is(err, fault.NotFound) {
		t.Fatalf("before any start: %v, want NotFound", err)
	}
	if err := listenfile.WriteCA(dir, []byte("PEM")); err != nil {
		t.Fatal(err)
	}
	if err := listenfile.Remove(dir, 0); err != nil {
		t.Fatal(err)
	}
	if pem, err := listenfile.ReadCA(dir); err != nil || string(pem) != "PEM" {
		t.Fatalf("%q, %v", pem, err)
	}
}
