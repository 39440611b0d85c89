package cert

import (
	"sync"
	"sync/atomic"
	"time"
)

// generation is how many names a generation of minted holds.
const generation = 1000

// minted are certificates for names below a wildcard that spans a registry
// (*.localhost). OpenSSL and browsers refuse such a wildcard, so each name gets
// a certificate of its own when it is first asked for. Strangers can ask for any
// name: there are two generations of bounded size, and what is not asked for
// during one is forgotten.
type minted struct {
	from *authority

	young, old atomic.Pointer[sync.Map] // name -> *Served; read without lock
	mu         sync.Mutex               // adding
	n          int                      // names in young
}

// find is the certificate for name, made now when there is none; wild when it
// can't be made.
func (m *minted) find(name string, wild *Served) *Served {
	now := time.Now()
	for i, g := range []*sync.Map{m.young.Load(), m.old.Load()} {
		if g == nil {
			continue
		}
		if v, ok := g.Load(name); ok && now.Before(v.(*Served).due) {
			if i > 0 {
				m.add(name, v.(*Served))
			}
			return v.(*Served)
		}
	}
	s, err := m.from.Make(name, now)
	if err != nil {
		return wild
	}
	m.add(name, s)
	return s
}

// add puts s into the young generation, which grows old when it is full.
func (m *minted) add(name string, s *Served) {
	m.mu.Lock()
	defer m.mu.Unlock()
	young := m.young.Load()
	if young == nil || m.n >= generation {
		m.old.Store(young)
		young, m.n = &sync.Map{}, 0
		m.young.Store(young)
	}
	if _, there := young.Swap(name, s); !there {
		m.n++
	}
}
