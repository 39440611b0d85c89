package stdio

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

const folderName = "gatehouse-program-"

// folderPrefix begins the names of the folders of programs, so that those of an
// installation are known as its own.
func folderPrefix(dataDir string) string {
	sum := sha256.Sum256([]byte(dataDir))
	return folderName + hex.EncodeToString(sum[:6]) + "-"
}

// sweep ends the processes and removes the folders that a Gatehouse which was
// killed has left behind. The lock of DATA_DIR says that there is no other.
func sweep(dataDir string) error {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix(dataDir)+"*"))
	if err != nil || len(left) == 0 {
		return err
	}
	endIn(left)
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// program is a running program as the bridge sees it.
type program struct {
	stdin  io.WriteCloser
	stdout io.ReadCloser
	stderr io.ReadCloser
	wait   func() error // until it has ended; once
	kill   func(hard bool)
}

var errLongLine = errors.New("a message of the program is longer than can be taken")

// readLines calls each for every line of what a program writes, until it ends.
func readLines(r io.Reader, most int, each func([]byte)) error {
	in := bufio.NewReaderSize(r, 64<<10)
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > most {
			return errLongLine
		}
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if text := bytes.TrimSpace(line); len(text) > 0 {
			each(text)
		}
		if err != nil {
			return err
		}
		if line = line[:0]; cap(line) > 1<<20 {
			line = nil
		}
	}
}

// What a program says on its standard error goes into the log, a bounded part of it.
const (
	linesASecond = 20
	linesAtOnce  = 200
	maxLogLine   = 1 << 10
)

// logLines brings a program's standard error into the log until it ends.
func logLines(r io.Reader, log *slog.Logger) {
	limit := rate.NewLimiter(linesASecond, linesAtOnce)
	dropped := 0
	in := bufio.NewReaderSize(r, maxLogLine)
	for {
		line, err := in.ReadSlice('\n')
		if text := strings.ToValidUTF8(strings.TrimSpace(string(line)), "?"); text != "" {
			switch {
			case !limit.Allow():
				dropped++
			case dropped > 0:
				log.Warn("lines of the program were left out", "lines", dropped)
				dropped = 0
				fallthrough
			default:
				log.Info("the program says", "line", text)
			}
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// end asks a program to end, then makes it.
func (p *program) end(ended <-chan struct{}) {
	_ = p.stdin.Close() // it may be gone already
	for _, hard := range []bool{false, true} {
		select {
		case <-ended:
			return
		case <-time.After(termGrace):
			p.kill(hard)
		}
	}
}
