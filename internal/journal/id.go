package journal

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"

	"gatehouse/internal/fault"
)

// position is where an entry stands in the order of all entries: by time, then
// by the node that wrote it. Its text is the entry's ID and sorts alike.
type position struct {
	nanos int64 // Unix time
	node  uint16
}

const idLength = 16 // characters

var idEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

func (p position) String() string {
	var b [10]byte
	binary.BigEndian.PutUint64(b[:], uint64(p.nanos))
	binary.BigEndian.PutUint16(b[8:], p.node)
	return idEncoding.EncodeToString(b[:])
}

func (p position) time() time.Time { return time.Unix(0, p.nanos).UTC() }

// compare is the order of positions: negative when p is older than q.
func (p position) compare(q position) int {
	switch {
	case p.nanos < q.nanos:
		return -1
	case p.nanos > q.nanos:
		return 1
	}
	return int(p.node) - int(q.node)
}

// parseID reads an ID; Invalid, naming field, when it is none.
func parseID(field, id string) (position, error) {
	b, err := idEncoding.DecodeString(id)
	if err != nil || len(id) != idLength {
		return position{}, fault.BadField(field, "is not one that an answer gave")
	}
	return position{nanos: int64(binary.BigEndian.Uint64(b)), node: binary.BigEndian.Uint16(b[8:])}, nil
}

// maxDrift is how far positions may run ahead of a clock that was set back; past
// it they follow the clock, and the order of entries is that of their times.
const maxDrift = time.Second

// newNode tells the entries of this process from those of others.
func newNode() uint16 {
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint16(b[:])
}
